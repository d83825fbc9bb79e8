{{/* Pod template. Takes the root context as `root` and the node's role as `role`. */}}
{{- define "hookstream.pod" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
metadata:
  labels:
    {{- include "hookstream.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "hookstream.serviceAccount" $root }}
  automountServiceAccountToken: false
  # Variables of services are not needed, and one of them would be named like a setting.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "hookstream.gracePeriod" $root }}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- toYaml $values.podSecurityContext | nindent 4 }}
  containers:
    - name: hookstream
      image: {{ include "hookstream.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: [serve]
      securityContext:
        {{- toYaml $values.securityContext | nindent 8 }}
      ports:
        - { name: http, containerPort: 8484 }
        {{- if $values.metrics.enabled }}
        - { name: metrics, containerPort: {{ $values.metrics.port }} }
        {{- end }}
      env:
        - { name: HOOKSTREAM_LISTEN, value: "0.0.0.0:8484" }
        - { name: HOOKSTREAM_ROLE, value: {{ .role }} }
        - name: HOOKSTREAM_NODE_NAME
          valueFrom: { fieldRef: { fieldPath: metadata.name } }
        {{- if $values.metrics.enabled }}
        - { name: HOOKSTREAM_METRICS_LISTEN, value: "0.0.0.0:{{ $values.metrics.port }}" }
        {{- end }}
        {{- if eq $values.mode "cluster" }}
        - name: HOOKSTREAM_DATABASE_URL
          valueFrom: { secretKeyRef: { name: {{ $values.database.existingSecret }}, key: {{ $values.database.key }} } }
        {{- else }}
        - { name: HOOKSTREAM_DATA_DIR, value: /data }
        {{- if not (hasKey $values.config "first_access_file") }}
        # Otherwise the first API key and the link for the owner would be in the log.
        - { name: HOOKSTREAM_FIRST_ACCESS_FILE, value: /data/first-access }
        {{- end }}
        {{- end }}
        {{- if and (eq $values.mode "cluster") (not (hasKey $values.config "setup_link")) }}
        - { name: HOOKSTREAM_SETUP_LINK, value: "false" }
        {{- end }}
        {{- if $values.encryptionKey.existingSecret }}
        - { name: HOOKSTREAM_ENCRYPTION_KEY_FILE, value: /secrets/encryption/key }
        {{- end }}
        {{- range $key, $value := $values.config }}
        - name: HOOKSTREAM_{{ upper $key }}
          {{- if kindIs "slice" $value }}
          value: {{ if kindIs "map" (first $value) }}{{ toJson $value | quote }}{{ else }}{{ join "," $value | quote }}{{ end }}
          {{- else if kindIs "float64" $value }}
          value: {{ $value | int64 | quote }}
          {{- else }}
          value: {{ $value | quote }}
          {{- end }}
        {{- end }}
        {{- range $key, $secret := $values.secretSettings }}
        - name: HOOKSTREAM_{{ upper $key }}
          valueFrom: { secretKeyRef: { name: {{ $secret.name }}, key: {{ $secret.key }} } }
        {{- end }}
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      # Migrations and a start on a large store may take long.
      startupProbe:
        httpGet: { path: /v1/health, port: http }
        periodSeconds: 2
        failureThreshold: 150
      livenessProbe:
        httpGet: { path: /v1/health, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      # False while the disk is full, the database is away, or the pod stops.
      readinessProbe:
        httpGet: { path: /v1/health/ready, port: http }
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      {{- if and (gt (int $values.preStopSleepSeconds) 0) (semverCompare ">=1.30-0" $root.Capabilities.KubeVersion.Version) }}
      lifecycle:
        preStop: { sleep: { seconds: {{ $values.preStopSleepSeconds }} } }
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      volumeMounts:
        - { name: tmp, mountPath: /tmp }
        {{- if eq $values.mode "single" }}
        - { name: data, mountPath: /data }
        {{- end }}
        {{- if $values.encryptionKey.existingSecret }}
        - { name: encryption, mountPath: /secrets/encryption, readOnly: true }
        {{- end }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if $values.encryptionKey.existingSecret }}
    - name: encryption
      secret:
        secretName: {{ $values.encryptionKey.existingSecret }}
        defaultMode: 0440
        items: [{ key: {{ $values.encryptionKey.key }}, path: key }]
    {{- end }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml $values.topologySpreadConstraints | nindent 4 }}
  {{- else if eq $values.mode "cluster" }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "hookstream.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ .role }}
  {{- end }}
{{- end -}}
