{{- define "hookstream.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "hookstream.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "hookstream.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "hookstream.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "hookstream.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "hookstream.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "hookstream.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Values that do not fit together end the rendering with what to do. */}}
{{- define "hookstream.check" -}}
{{- if eq .Values.mode "cluster" -}}
{{- if not .Values.database.existingSecret -}}
{{- fail "mode cluster needs database.existingSecret: a Secret with the URL of PostgreSQL" -}}
{{- end -}}
{{- if not .Values.encryptionKey.existingSecret -}}
{{- fail "mode cluster needs encryptionKey.existingSecret: a Secret with the output of `openssl rand -hex 32`" -}}
{{- end -}}
{{- else -}}
{{- if .Values.database.existingSecret -}}
{{- fail "database.existingSecret is set and mode is single: set mode to cluster" -}}
{{- end -}}
{{- if or .Values.autoscaling.enabled .Values.split.enabled -}}
{{- fail "autoscaling and split need mode cluster: a data directory belongs to one pod" -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := .Values.config -}}
{{- if has $key (list "encryption_key" "bootstrap_api_key" "database_url" "smtp_url") -}}
{{- fail (printf "config.%s is a secret: put it into a Secret, and name that in secretSettings" $key) -}}
{{- end -}}
{{- if has $key (list "listen" "port" "data_dir" "metrics_listen" "role" "encryption_key_file") -}}
{{- fail (printf "config.%s is set by the chart" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hookstream.gracePeriod" -}}
{{- add (.Values.config.shutdown_grace_s | default 20 | int) .Values.preStopSleepSeconds 10 -}}
{{- end -}}
