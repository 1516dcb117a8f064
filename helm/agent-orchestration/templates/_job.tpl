{{/* The pod of a verb that ends: dict "root" $ "args" list "resources" map "claims" list
     "configMap" and "neo4jSecret" where they are copies. */}}
{{- define "ao.verbPod" -}}
{{- $volumes := dict "root" .root "file" "config.yaml" "claims" .claims "configMap" .configMap -}}
{{- include "ao.podSettings" . }}
restartPolicy: Never
containers:
  - name: verb
    image: {{ include "ao.image" (dict "root" .root "image" .root.Values.coreServices.image) }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: {{ toJson .args }}
    env: {{- include "ao.backendEnv" . | trim | nindent 6 }}
    resources: {{- toYaml .resources | nindent 6 }}
    securityContext: {{- include "ao.containerSecurity" . | nindent 6 }}
    volumeMounts: {{- include "ao.mounts" $volumes | nindent 6 }}
volumes: {{- include "ao.volumes" $volumes | nindent 2 }}
{{- end }}

{{/* A Job of a verb before the platform needs what it makes: dict "root" $ "name" … "weight" …
     "args" list "hook" true, or false where it has to wait for what the chart brings along. */}}
{{- define "ao.job" -}}
{{- $copies := ternary (dict "configMap" "agent-orchestration-config-hook" "neo4jSecret" (ternary .root.Values.neo4j.existingSecret "neo4j-credentials-hook" (ne .root.Values.neo4j.existingSecret ""))) (dict) .hook -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}
  labels: {{- include "ao.partLabels" (dict "root" .root "part" "job") | nindent 4 }}
  annotations:
    {{- include "ao.ignored" (dict "more" (list)) | nindent 4 }}
    {{- if .hook }}
    {{- include "ao.hook" . | nindent 4 }}
    {{- end }}
spec:
  # Broker and graph may be a while in coming.
  backoffLimit: 10
  activeDeadlineSeconds: 1800
  template:
    metadata:
      labels: {{- include "ao.partPodLabels" (dict "root" .root "part" "job") | nindent 8 }}
    spec: {{- include "ao.verbPod" (merge $copies (dict "root" .root "part" "job" "args" .args "resources" .root.Values.jobs.resources)) | nindent 6 }}
{{- end }}

{{/* What failed stays, to be looked at, until the next time. */}}
{{- define "ao.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
