{{/* The settings of the servers; secrets and addresses are variables. */}}
{{- define "ao.settings" -}}
backend: kafka-neo4j
environment: {{ .Values.global.environment }}
blobs: /data/blobs
server:
  host: 0.0.0.0
  port: 8000
  allowed_hosts: {{ include "ao.allowedHosts" . }}
database:
  pool_size: {{ .Values.neo4j.poolSize }}
kafka:
  num_partitions: {{ .Values.kafka.numPartitions }}
  {{- if .Values.kafka.external.enabled }}
  {{- with .Values.kafka.external }}
  security_protocol: {{ .securityProtocol }}
  sasl_mechanism: {{ .saslMechanism }}
  {{- if .tls.existingSecret }}
  ssl_ca_file: /etc/agent-orchestration/kafka/ca.crt
  {{- if .tls.clientCertificate }}
  ssl_cert_file: /etc/agent-orchestration/kafka/tls.crt
  ssl_key_file: /etc/agent-orchestration/kafka/tls.key
  {{- end }}
  {{- end }}
  {{- end }}
  {{- else }}
  replication_factor: {{ min 3 .Values.kafka.replicas }}
  {{- end }}
{{- if .Values.cronJobs.backup.enabled }}
backups:
  url: /data/backups
{{- end }}
{{- if or (include "ao.hasJwt" .) .Values.auth.jwksUri }}
auth:
  {{- with .Values.auth.jwksUri }}
  jwks_uri: {{ . | quote }}
  {{- end }}
  issuer: {{ include "ao.issuer" . | quote }}
  audience: {{ include "ao.audience" . | quote }}
{{- end }}
openai:
  default_model: {{ .Values.openai.defaultModel | quote }}
  {{- with .Values.openai.baseUrl }}
  base_url: {{ . | quote }}
  {{- end }}
{{- end }}

{{/* The names by which requests may call mcp-server; the addresses of pods count always. */}}
{{- define "ao.allowedHosts" -}}
{{- $service := "mcp-server-service" -}}
{{- $inside := printf "%s.%s" $service .Release.Namespace -}}
{{- $hosts := list $service $inside (printf "%s.svc" $inside) (printf "%s.svc.cluster.local" $inside) -}}
{{- if .Values.ingress.enabled }}{{ $hosts = prepend $hosts .Values.ingress.host }}{{ end -}}
{{- concat $hosts .Values.mcpServer.allowedHosts | uniq | toJson -}}
{{- end }}

{{/* Whom tokens are from and for. Those that the platform gives itself are its own address's. */}}
{{- define "ao.issuer" -}}
{{- .Values.auth.issuer | default (ternary (printf "https://%s" .Values.ingress.host) "" .Values.ingress.enabled) -}}
{{- end }}
{{- define "ao.audience" -}}
{{- .Values.auth.audience | default (ternary (printf "https://%s/mcp" .Values.ingress.host) "" .Values.ingress.enabled) -}}
{{- end }}

{{- define "ao.serverYaml" -}}
{{- mustMergeOverwrite (fromYaml (include "ao.settings" .)) (deepCopy .Values.config) | toYaml -}}
{{- end }}

{{/* config.yaml of the processors and the jobs: nothing of who may call, whose key they do not have. */}}
{{- define "ao.configYaml" -}}
{{- omit (fromYaml (include "ao.serverYaml" .)) "auth" | toYaml -}}
{{- end }}

{{/* config.yaml of the workers: nothing of broker and graph, which they do not reach. */}}
{{- define "ao.workerYaml" -}}
{{- pick (fromYaml (include "ao.configYaml" .)) "environment" "logging" "openai" "recording" | toYaml -}}
{{- end }}

{{/* The ConfigMap's content. */}}
{{- define "ao.configData" -}}
config.yaml: |
  {{- include "ao.configYaml" . | nindent 2 }}
mcp-server.yaml: |
  {{- include "ao.serverYaml" . | nindent 2 }}
{{- if .Values.workers.enabled }}
worker.yaml: |
  {{- include "ao.workerYaml" . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The Secret of the graph, where the chart makes it. */}}
{{- define "ao.neo4jSecretData" -}}
uri: {{ include "ao.neo4jUri" . | b64enc }}
username: {{ .Values.neo4j.username | b64enc }}
password: {{ .Values.neo4j.password | b64enc }}
{{- end }}
