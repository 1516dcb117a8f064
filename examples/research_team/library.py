"""What the research team may look up. Replace it by a search of your own: any function will do."""

NOTES = {
    "costs": "Costs: 42 million to build, 3 million a year to run (council paper 12).",
    "route": "Route: 9 km, two bridges are too weak for trams (survey of the bridges).",
    "permits": "Permits: a plan approval takes 18 months (transport act, section 28).",
}


def look_up(topic: str) -> str:
    """Notes about a topic: costs, route or permits."""
    return NOTES.get(topic, f"There is nothing about {topic}; there is: {', '.join(NOTES)}.")
