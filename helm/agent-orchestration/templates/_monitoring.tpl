{{/* Where processes without an API serve their metrics, to whoever asks; NetworkPolicies say who may. */}}
{{- define "ao.metricsArgs" -}}
["--metrics-port=9090", "--metrics-host=0.0.0.0"]
{{- end }}

{{- define "ao.metricsPort" -}}
- {name: metrics, containerPort: 9090}
{{- end }}

{{/* How a Prometheus without the operator finds these pods. */}}
{{- define "ao.scraped" -}}
prometheus.io/scrape: "true"
prometheus.io/port: "9090"
prometheus.io/path: /metrics
{{- end }}

{{/* An empty list of peers would be anybody. */}}
{{- define "ao.ingressMetrics" -}}
{{- with .Values.networkPolicy.monitoring -}}
- ports:
    - {protocol: TCP, port: 9090}
  from: {{- toYaml . | nindent 4 }}
{{- else -}}
[]
{{- end }}
{{- end }}

{{/* Labels of what others have to find: the platform's, and those that they look for. */}}
{{- define "ao.foundLabels" -}}
{{ include "ao.partLabels" (dict "root" . "part" "shared") }}
{{- with .Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Alerts and dashboards ask for this job. */}}
{{- define "ao.scrapeSettings" -}}
path: /metrics
interval: 15s
relabelings:
  - {action: replace, targetLabel: job, replacement: agent-orchestration}
{{- end }}
