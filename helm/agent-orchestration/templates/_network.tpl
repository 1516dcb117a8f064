{{/* Rules of NetworkPolicies. */}}

{{- define "ao.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  labels: {{- include "ao.partLabels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "ao.partSelector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end }}

{{/* Pods of these parts, as peers: dict "root" $ "parts" list */}}
{{- define "ao.pods" -}}
{{- range .parts }}
- podSelector:
    matchLabels: {{- include "ao.partSelector" (dict "root" $.root "part" .) | nindent 6 }}
{{- end }}
{{- end }}

{{/* Egress to peers on TCP ports; no peers: to any address. dict "peers" list "ports" list */}}
{{- define "ao.egress" -}}
- ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .peers }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "ao.egressDns" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
  {{- with .Values.networkPolicy.dns }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Broker and graph: those that are brought along, or those elsewhere. */}}
{{- define "ao.egressBackends" -}}
{{ include "ao.egressNeo4j" . }}
{{ include "ao.egressKafka" . }}
{{- end }}

{{- define "ao.egressNeo4j" -}}
{{- $neo4j := .Values.networkPolicy.neo4j -}}
{{- if not .Values.neo4j.external.enabled -}}
{{- $neo4j = fromYamlArray (include "ao.pods" (dict "root" . "parts" (list "neo4j"))) -}}
{{- end -}}
{{ include "ao.egress" (dict "peers" $neo4j "ports" (list (include "ao.neo4jPort" .))) }}
{{- end }}

{{- define "ao.egressKafka" -}}
{{- $kafka := .Values.networkPolicy.kafka -}}
{{- if not .Values.kafka.external.enabled -}}
{{- $kafka = fromYamlArray (include "ao.pods" (dict "root" . "parts" (list "kafka"))) -}}
{{- end -}}
{{ include "ao.egress" (dict "peers" $kafka "ports" (fromJsonArray (include "ao.kafkaPorts" .))) }}
{{- end }}

{{/* Language models, and the keys of the identity provider. */}}
{{- define "ao.egressInternet" -}}
{{- $ports := list (include "ao.webPort" (.Values.openai.baseUrl | default "https://api.openai.com/v1")) -}}
{{- with .Values.auth.jwksUri }}{{ $ports = append $ports (include "ao.webPort" .) }}{{ end -}}
{{ include "ao.egress" (dict "peers" .Values.networkPolicy.internet "ports" (uniq $ports)) }}
{{- end }}
