{{- /* Names are fixed: two hnsproxies would work against each other on the same nodes, whatever their releases are called. */ -}}
{{- define "hnsproxy.labels" -}}
app.kubernetes.io/name: hnsproxy
{{- end }}

{{- define "hnsproxy.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "hnsproxy.configMap" -}}
{{ if .Values.config }}hnsproxy{{ else }}{{ .Values.configMap }}{{ end }}
{{- end }}
