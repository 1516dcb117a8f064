"""The rules that hold for the whole source tree."""
