{{- define "tocsin.name" -}}
{{- if contains "tocsin" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-tocsin" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "tocsin.selector" -}}
app.kubernetes.io/name: tocsin
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "tocsin.labels" -}}
{{ include "tocsin.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tocsin
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "tocsin.account" -}}
{{ default (include "tocsin.name" .) .Values.serviceAccount.name }}
{{- end }}

{{/* An image: registry, repository, and digest or tag. */}}
{{- define "tocsin.image" -}}
{{- $registry := .root.Values.imageRegistry | trimSuffix "/" -}}
{{- if $registry }}{{ $registry }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ default .root.Chart.AppVersion .image.tag }}{{ end }}
{{- end }}

{{/* What the operator may do with what pipelines are made of: every verb that it uses, and none besides. */}}
{{- define "tocsin.rules" -}}
- apiGroups: [tocsin.dev]
  resources: [incidentpipelines]
  verbs: [list, watch, patch]
- apiGroups: [tocsin.dev]
  resources: [incidentrulesets, incidentmodels]
  verbs: [list, watch]
- apiGroups: [tocsin.dev]
  resources: [pipelinesnapshots]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [tocsin.dev]
  resources: [incidentpipelines/status, pipelinesnapshots/status, incidentrulesets/status, incidentmodels/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [serviceaccounts, services]
  verbs: [list, watch, create, patch]
- apiGroups: [""]
  # By name: whether those that a pipeline refers to are there, and the workers' own. Never listed.
  resources: [secrets]
  verbs: [get, create, patch]
- apiGroups: [""]
  # Deleted to be made anew: nodes of Kafka, one after the other.
  resources: [pods]
  verbs: [list, watch, delete]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [batch]
  # Jobs read savepoints back, and remove them.
  resources: [jobs]
  verbs: [get, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch]
{{- if .Values.strimzi.enabled }}
- apiGroups: [kafka.strimzi.io]
  resources: [kafkas, kafkausers]
  verbs: [get, create, patch]
- apiGroups: [kafka.strimzi.io]
  resources: [kafkatopics]
  verbs: [get, list, create, patch]
- apiGroups: [kafka.strimzi.io]
  resources: [kafkanodepools]
  verbs: [list, create, patch, delete]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  # Listed: who asked for a deletion.
  verbs: [create, list]
{{- end }}

{{- /* The webhook of an operator for some pipelines is asked about those alone. A selector of other words than NAME=VALUE cannot be
told to the API server. */}}
{{- define "tocsin.webhookObjects" }}
{{- with .Values.operator.selector }}
  objectSelector:
    matchLabels:
    {{- range splitList "," . }}
    {{- $words := splitList "=" (replace "==" "=" .) }}
    {{- if or (ne (len $words) 2) (hasSuffix "!" (first $words)) }}
    {{- fail (printf "operator.selector %q: with webhook.enabled it must be NAME=VALUE, several with commas between" $.Values.operator.selector) }}
    {{- end }}
      {{ first $words | trim }}: {{ last $words | trim | quote }}
    {{- end }}
{{- end }}
{{- end }}

{{- /* The webhook of an operator for some namespaces is asked about those alone. */}}
{{- define "tocsin.webhookNamespaces" }}
{{- with .Values.operator.watchNamespaces }}
  namespaceSelector:
    matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
{{- end }}
{{- end }}
