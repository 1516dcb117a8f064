{{/* What the schema of the values cannot say: each says the value and the remedy. */}}
{{- define "ao.validate" -}}
{{- $hasAuth := or (include "ao.hasJwt" .) .Values.auth.jwksUri -}}
{{- if and (not $hasAuth) (not .Values.mcpServer.insecure) -}}
{{- fail "auth: nobody would have to log in; set auth.jwt.existingSecret (or auth.jwt.secret) or auth.jwksUri, or mcpServer.insecure=true for trying out" -}}
{{- end -}}
{{- if and $hasAuth .Values.mcpServer.insecure -}}
{{- fail "mcpServer.insecure: would let everybody in although auth is set; leave one of them out" -}}
{{- end -}}
{{- if and (include "ao.hasJwt" .) .Values.auth.jwksUri -}}
{{- fail "auth.jwksUri: tokens are checked with one source of keys; leave it or auth.jwt out" -}}
{{- end -}}
{{- if and (include "ao.hasJwt" .) (not (and (include "ao.issuer" .) (include "ao.audience" .))) -}}
{{- fail "auth.jwt: tokens say whom they are from and for; set auth.issuer and auth.audience, or ingress.enabled=true to take the host of the Ingress" -}}
{{- end -}}
{{- if and .Values.auth.jwksUri (not (and .Values.auth.issuer .Values.auth.audience)) -}}
{{- fail "auth.jwksUri: whoever has a token of that provider for anything would be let in; set auth.issuer and auth.audience, too" -}}
{{- end -}}
{{- if not (or .Values.neo4j.password .Values.neo4j.existingSecret) -}}
{{- fail "neo4j.password: is needed; set it, or neo4j.existingSecret to a Secret with the keys username and password" -}}
{{- end -}}
{{- if and (include "ao.usesSasl" .) (not .Values.kafka.external.existingSecret) -}}
{{- fail (printf "kafka.external.existingSecret: %s needs a Secret with the keys username and password" .Values.kafka.external.securityProtocol) -}}
{{- end -}}
{{- if and .Values.workers.enabled (not (include "ao.hasToken" .)) (not .Values.mcpServer.insecure) -}}
{{- fail "workers.enabled: workers call mcp-server with its token; set mcpServer.token.existingSecret or mcpServer.token.value" -}}
{{- end -}}
{{- if and .Values.analytics.enabled (not (include "ao.hasToken" .)) -}}
{{- fail "analytics.enabled: mcp-server asks with its token; set mcpServer.token.existingSecret or mcpServer.token.value" -}}
{{- end -}}
{{- if and .Values.monitoring.monitors $hasAuth (not .Values.monitoring.tokenSecret) -}}
{{- fail "monitoring.monitors: mcp-server tells its metrics to nobody without a token; set monitoring.tokenSecret to a Secret with the key token" -}}
{{- end -}}
{{- include "ao.validateNeo4j" . -}}
{{- include "ao.validateConnections" . -}}
{{- end }}

{{- define "ao.validateNeo4j" -}}
{{- with .Values.neo4j -}}
{{- if and (eq .mode "cluster") (hasPrefix "bolt" (include "ao.neo4jUri" $)) -}}
{{- fail "neo4j.external.uri: bolt:// reaches one member of a cluster, which may not be the one that writes; use neo4j:// or neo4j+s://, or neo4j.mode=standalone" -}}
{{- end -}}
{{- if not .external.enabled -}}
{{- if and (eq .mode "cluster") (ne .acceptLicenseAgreement "yes") -}}
{{- fail "neo4j.acceptLicenseAgreement: a cluster is Neo4j Enterprise; set it to \"yes\" if you have a licence, else name a server with neo4j.external or set neo4j.mode=standalone and neo4j.replicas=1" -}}
{{- end -}}
{{- if and (eq .mode "cluster") (lt (int .replicas) 3) -}}
{{- fail "neo4j.replicas: a cluster needs at least 3" -}}
{{- end -}}
{{- if and (eq .mode "standalone") (ne (int .replicas) 1) -}}
{{- fail "neo4j.replicas: a standalone server is 1; set neo4j.mode=cluster for more" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* While pods are replaced there is one more of each kind. */}}
{{- define "ao.validateConnections" -}}
{{- $mcp := include "ao.most" .Values.mcpServer | int -}}
{{- $core := include "ao.most" .Values.coreServices | int -}}
{{- $open := mul (add $mcp $core 2) (int .Values.neo4j.poolSize) -}}
{{- if gt $open (int64 .Values.neo4j.maxConnections) -}}
{{- fail (printf "neo4j.poolSize: %d servers and %d processors, and one more of each in an update, may open %d connections, and neo4j.maxConnections is %d; lower neo4j.poolSize or the replicas, or raise what the server takes and say so" $mcp $core $open (int64 .Values.neo4j.maxConnections)) -}}
{{- end -}}
{{- end }}
