DROP CONSTRAINT conversation_id IF EXISTS;
DROP CONSTRAINT message_id IF EXISTS;
DROP INDEX conversation_status_index IF EXISTS;
