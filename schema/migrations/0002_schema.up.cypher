CREATE CONSTRAINT conversation_id IF NOT EXISTS FOR (n:Conversation) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT message_id IF NOT EXISTS FOR (n:Message) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT budget_id IF NOT EXISTS FOR (n:Budget) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT spend_id IF NOT EXISTS FOR (n:Spend) REQUIRE n.id IS UNIQUE;
CREATE INDEX conversation_status_index IF NOT EXISTS FOR (n:Conversation) ON (n.status);
CREATE INDEX spend_at_index IF NOT EXISTS FOR (n:Spend) ON (n.at);
CREATE INDEX spend_status_index IF NOT EXISTS FOR (n:Spend) ON (n.status);
