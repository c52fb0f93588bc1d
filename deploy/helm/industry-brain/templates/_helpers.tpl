{{- define "brain.labels" -}}
app.kubernetes.io/name: industry-brain
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "brain.selector" -}}
app.kubernetes.io/name: industry-brain
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "brain.secret" -}}
{{ .Values.secrets.existing | default (printf "%s-secrets" .Release.Name) }}
{{- end }}

{{- define "brain.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Addresses of the services for each other, as JSON. */}}
{{- define "brain.services" -}}
{{- $addresses := dict -}}
{{- $listed := .Files.Get "processes.yaml" | fromYaml -}}
{{- range $listed.services -}}
{{- $_ := set $addresses . (printf "http://%s-%s:%d" $.Release.Name . (int $listed.port)) -}}
{{- end -}}
{{ $addresses | toJson }}
{{- end }}

{{- define "brain.environment" -}}
- name: BRAIN_HOME
  value: /data
- name: BRAIN_LOG_FORMAT
  value: json
- name: BRAIN_EVENTS_URL
  value: {{ .Values.eventsUrl | quote }}
- name: BRAIN_SERVICES
  value: {{ include "brain.services" . | quote }}
{{- range $name := list "BRAIN_DATABASE_URL" "BRAIN_OBJECTS_URL" "BRAIN_SERVICE_SECRET" }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ include "brain.secret" $ }}
      key: {{ $name }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "brain.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "brain.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: ["ALL"]}
{{- end }}

{{- define "brain.volumes" -}}
- name: data
  emptyDir: {sizeLimit: {{ .Values.defaults.scratch }}}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- end }}

{{- define "brain.mounts" -}}
- {name: data, mountPath: /data}
- {name: tmp, mountPath: /tmp}
{{- end }}
