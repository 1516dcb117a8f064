{{/* What the pods of the platform have in common: Pod Security "restricted", and the user of the
     images. dict "root" $ */}}
{{- define "ao.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
# Changing the owner of every blob at each start would take longer the more there are.
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "ao.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsUser: 10001
runAsGroup: 10001
capabilities: {drop: [ALL]}
{{- end }}

{{- define "ao.podSettings" -}}
automountServiceAccountToken: false
# Variables of Services, such as KAFKA_SERVICE_HOST, would be taken for settings.
enableServiceLinks: false
securityContext: {{- include "ao.podSecurity" . | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.scheduling.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.scheduling.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Pods of a kind on different nodes, where there are some: dict "root" $ "part" … */}}
{{- define "ao.affinity" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "ao.partSelector" . | nindent 12 }}
{{- end }}

{{/* Changed settings start new pods. Changed Secrets do not: who may read pods could try words on
     their checksum. */}}
{{- define "ao.checksums" -}}
checksum/config: {{ include "ao.configData" . | sha256sum }}
{{- end }}

{{/* A variable from a Secret: dict "name" … "secret" … "key" … and "optional" true */}}
{{- define "ao.fromSecret" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
      {{- if .optional }}
      optional: true
      {{- end }}
{{- end }}

{{/* Who a part or a verb is to Kafka, where each is somebody else: see docs/kafka.md. */}}
{{- define "ao.kafkaUser" -}}
{{- $verb := .args | default (list "") | first -}}
{{- get (dict "mcp" "ao-server" "core" "ao-processor" "analytics" "ao-analytics") .part | default (ternary "ao-topics" "ao-checks" (eq $verb "topics")) -}}
{{- end }}

{{/* Variables of whoever reaches broker and graph: dict "root" $, and "neo4jSecret" where it is a
     copy of the chart's own. */}}
{{- define "ao.backendEnv" -}}
{{- $secret := .neo4jSecret | default (include "ao.secret.neo4j" .root) -}}
{{- if .root.Values.neo4j.existingSecret }}
- name: NEO4J_URI
  value: {{ include "ao.neo4jUri" .root | quote }}
{{- else }}
{{ include "ao.fromSecret" (dict "name" "NEO4J_URI" "secret" $secret "key" "uri") }}
{{- end }}
{{ include "ao.fromSecret" (dict "name" "NEO4J_USERNAME" "secret" $secret "key" "username") }}
{{ include "ao.fromSecret" (dict "name" "NEO4J_PASSWORD" "secret" $secret "key" "password") }}
{{- include "ao.kafkaEnv" . }}
{{- end }}

{{/* Variables of whoever reaches the broker: dict "root" $ "part" … */}}
{{- define "ao.kafkaEnv" }}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ include "ao.bootstrapServers" .root | quote }}
{{- if include "ao.usesSasl" .root }}
{{- $kafka := .root.Values.kafka.external.existingSecret }}
{{- if .root.Values.kafka.external.ownUsers }}
{{- $user := include "ao.kafkaUser" . }}
- name: KAFKA_USERNAME
  value: {{ $user }}
{{ include "ao.fromSecret" (dict "name" "KAFKA_PASSWORD" "secret" $kafka "key" $user) }}
{{- else }}
{{ include "ao.fromSecret" (dict "name" "KAFKA_USERNAME" "secret" $kafka "key" "username") }}
{{ include "ao.fromSecret" (dict "name" "KAFKA_PASSWORD" "secret" $kafka "key" "password") }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ao.modelKeyEnv" -}}
{{ include "ao.fromSecret" (dict "name" "OPENAI_API_KEY" "secret" (include "ao.secret.openai" .) "key" "api-key" "optional" true) }}
{{- end }}

{{- define "ao.tokenEnv" -}}
{{- if include "ao.hasToken" . }}
{{ include "ao.fromSecret" (dict "name" "AGENT_ORCHESTRATION_TOKEN" "secret" (include "ao.secret.token" .) "key" "token") }}
{{- end }}
{{- end }}

{{/* Mounts of every container of the platform: dict "root" $ "file" the key in the ConfigMap, and
     "claims" the volumes that outlive the pod. */}}
{{- define "ao.mounts" -}}
- {name: config, mountPath: /app/config.yaml, subPath: {{ .file }}, readOnly: true}
- {name: data, mountPath: /data}
- {name: tmp, mountPath: /tmp}
{{- range .claims }}
- {name: {{ . }}, mountPath: /data/{{ . }}}
{{- end }}
{{- if and (ne .file "worker.yaml") .root.Values.kafka.external.enabled .root.Values.kafka.external.tls.existingSecret }}
- {name: kafka-tls, mountPath: /etc/agent-orchestration/kafka, readOnly: true}
{{- end }}
{{- end }}

{{/* The volumes of these mounts; "configMap" where it is a copy of the usual one. */}}
{{- define "ao.volumes" -}}
- name: config
  configMap: {name: {{ .configMap | default "agent-orchestration-config" }}}
- name: data
  emptyDir: {}
- name: tmp
  emptyDir: {}
{{- range .claims }}
- name: {{ . }}
  persistentVolumeClaim:
    claimName: {{ (index $.root.Values.storage .).existingClaim | default (printf "agent-orchestration-%s" .) }}
{{- end }}
{{- if and (ne .file "worker.yaml") .root.Values.kafka.external.enabled }}
{{- with .root.Values.kafka.external.tls.existingSecret }}
- name: kafka-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end }}
