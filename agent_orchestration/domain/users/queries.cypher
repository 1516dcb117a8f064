// users: Those who may log in with a password, in order of user name.
MATCH (u:User {tenant: $tenant})
WHERE u.id > $after_id AND ($user_id IS NULL OR u.id = $user_id)
RETURN u.id AS id, u.name AS name, u.roles AS roles, u.added_at AS added_at,
       u.password_at AS password_at, u.disabled_at AS disabled_at,
       COUNT { (u)<-[:SESSION_OF]-(s:Session) WHERE s.status = 'open' } AS sessions
ORDER BY id LIMIT $limit
