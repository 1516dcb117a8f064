{{/* Names are fixed, as other systems refer to them: one release in a namespace. */}}

{{- define "ao.selector" -}}
app: {{ .app }}
component: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{/* No versions: a new chart alone is no reason for new pods. */}}
{{- define "ao.podLabels" -}}
{{ include "ao.selector" . }}
app.kubernetes.io/name: {{ .app }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: agent-orchestration
{{- end }}

{{- define "ao.labels" -}}
{{ include "ao.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Each part's labels: dict "root" $ "app" … "component" … */}}
{{- define "ao.parts" -}}
mcp: {app: mcp-server, component: mcp}
core: {app: core-services, component: event-processor}
worker: {app: worker, component: worker}
analytics: {app: analytics, component: analytics}
job: {app: platform-job, component: job}
neo4j: {app: neo4j, component: graph}
kafka: {app: kafka, component: log}
shared: {app: agent-orchestration, component: settings}
{{- end }}

{{- define "ao.part" -}}
{{- $part := index (fromYaml (include "ao.parts" .root)) .part -}}
{{- toYaml (dict "app" $part.app "component" $part.component) -}}
{{- end }}

{{- define "ao.partLabels" -}}
{{- include "ao.labels" (merge (dict "root" .root) (fromYaml (include "ao.part" .))) -}}
{{- end }}

{{- define "ao.partPodLabels" -}}
{{- include "ao.podLabels" (merge (dict "root" .root) (fromYaml (include "ao.part" .))) -}}
{{- end }}

{{- define "ao.partSelector" -}}
{{- include "ao.selector" (merge (dict "root" .root) (fromYaml (include "ao.part" .))) -}}
{{- end }}

{{/* The image of a part: dict "root" $ "image" .Values.….image */}}
{{- define "ao.image" -}}
{{- $registry := .root.Values.image.registry -}}
{{- $tag := .image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .image.repository }}:{{ $tag }}
{{- end }}

{{- define "ao.secret.neo4j" -}}{{ .Values.neo4j.existingSecret | default "neo4j-credentials" }}{{- end }}
{{- define "ao.secret.openai" -}}{{ .Values.openai.existingSecret | default "openai-credentials" }}{{- end }}
{{- define "ao.secret.jwt" -}}{{ .Values.auth.jwt.existingSecret | default "jwt-secret" }}{{- end }}
{{- define "ao.secret.token" -}}{{ .Values.mcpServer.token.existingSecret | default "server-token" }}{{- end }}

{{/* Empty where there is none. */}}
{{- define "ao.hasToken" -}}{{ or .Values.mcpServer.token.existingSecret .Values.mcpServer.token.value }}{{- end }}
{{- define "ao.hasJwt" -}}{{ or .Values.auth.jwt.existingSecret .Values.auth.jwt.secret }}{{- end }}
{{- define "ao.usesSasl" -}}
{{- if and .Values.kafka.external.enabled (hasPrefix "SASL" .Values.kafka.external.securityProtocol) }}true{{ end -}}
{{- end }}

{{/* Where the graph and the log are. */}}
{{- define "ao.neo4jUri" -}}
{{- if .Values.neo4j.external.enabled }}{{ .Values.neo4j.external.uri }}{{ else }}neo4j://neo4j-service:7687{{ end -}}
{{- end }}
{{- define "ao.bootstrapServers" -}}
{{- if .Values.kafka.external.enabled }}{{ .Values.kafka.external.bootstrapServers }}{{ else }}kafka-service:9092{{ end -}}
{{- end }}
{{- define "ao.neo4jPort" -}}
{{- regexFind ":[0-9]+$" (include "ao.neo4jUri" .) | trimPrefix ":" | default "7687" -}}
{{- end }}

{{/* The ports of the brokers, as a JSON list. */}}
{{- define "ao.kafkaPorts" -}}
{{- $ports := list -}}
{{- range splitList "," (include "ao.bootstrapServers" .) }}{{ $ports = append $ports (regexFind "[0-9]+$" (trim .) | int) }}{{ end -}}
{{- uniq $ports | toJson -}}
{{- end }}

{{/* The port of an address of the web. */}}
{{- define "ao.webPort" -}}
{{- $url := urlParse . -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "80" "443" (eq $url.scheme "http")) -}}
{{- end }}

{{/* The most processes of a part that there are at a time: its values. */}}
{{- define "ao.most" -}}
{{- if .autoscaling.enabled }}{{ .autoscaling.maxReplicas }}{{ else }}{{ .replicas }}{{ end -}}
{{- end }}

{{/* Checks of kube-score that do not hold here: for all pods, and "more" of one. */}}
{{- define "ao.ignored" -}}
# The tag of a release is never moved: what a node has is what is meant.
kube-score/ignore: {{ prepend .more "container-image-pull-policy" | join "," }}
{{- end }}
