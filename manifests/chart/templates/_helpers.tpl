{{/* Labels by which pods are selected: (dict "root" $ "component" "webhook"). They never change. */}}
{{- define "irsa.selectorLabels" -}}
app.kubernetes.io/name: irsa-anywhere
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of every object of a component. */}}
{{- define "irsa.labels" -}}
{{ include "irsa.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end -}}

{{/* Name, labels and namespace of an object: (dict "root" $ "component" "webhook" "name" "irsa-webhook"). */}}
{{- define "irsa.metadata" -}}
name: {{ .name }}
namespace: {{ .namespace | default .root.Release.Namespace }}
labels:
  {{- include "irsa.labels" . | nindent 2 }}
{{- end -}}

{{/* The same for an object of the whole cluster. */}}
{{- define "irsa.clusterMetadata" -}}
name: {{ .name }}
labels:
  {{- include "irsa.labels" . | nindent 2 }}
{{- end -}}

{{/* What the issuer serves; also the name of its port. */}}
{{- define "irsa.issuerScheme" -}}
{{ if .Values.issuer.tls.secretName }}https{{ else }}http{{ end }}
{{- end -}}

{{- define "irsa.image" -}}
{{- $image := .Values.image -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{/* The image with iptables, of the same version. */}}
{{- define "irsa.rulesImage" -}}
{{- $image := .Values.shim.rules.image -}}
{{ $image.repository }}:{{ $image.tag | default .Values.image.tag | default .Chart.AppVersion }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{/* What the API server knows the shim as. */}}
{{- define "irsa.shimUser" -}}
system:serviceaccount:{{ .Values.shim.namespace }}:irsa-shim
{{- end -}}

{{/* Port of the shim's metrics for the network; 0 for none. */}}
{{- define "irsa.shimMetricsPort" -}}
{{ .Values.shim.metricsPort | default (.Values.metrics.serviceMonitor.enabled | ternary 8183 0) }}
{{- end -}}

{{/* A container that changes the network of its node, but for its name and what it runs. */}}
{{- define "irsa.rulesContainer" -}}
{{- $shim := .Values.shim -}}
image: {{ include "irsa.rulesImage" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: IRSA_HOST_IP
    valueFrom:
      fieldRef:
        fieldPath: status.hostIPs
  - name: IRSA_APP_PORT
    value: {{ $shim.port | quote }}
resources:
  {{- toYaml $shim.rules.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    {{- if eq $shim.rules.backend "nft" }}
    add: [NET_ADMIN]
    {{- else }}
    # The legacy back end of iptables talks to the kernel by a raw socket.
    add: [NET_ADMIN, NET_RAW]
    {{- end }}
volumeMounts:
  - name: xtables-lock
    mountPath: /run/xtables.lock
  {{- if not $shim.removeRules }}
  - name: run
    mountPath: /run/irsa
  {{- end }}
{{- end -}}

{{/* Whoever changes rules of the node waits for it. */}}
{{- define "irsa.rulesLock" -}}
- name: xtables-lock
  hostPath: { path: /run/xtables.lock, type: FileOrCreate }
{{- end -}}

{{/* Settings as environment variables: `token-expiration` is IRSA_TOKEN_EXPIRATION. */}}
{{- define "irsa.settings" -}}
{{- range $flag, $value := . }}
- name: IRSA_{{ $flag | upper | replace "-" "_" }}
  {{- if kindIs "slice" $value }}
  value: {{ $value | join "," | quote }}
  {{- else if kindIs "float64" $value }}
  {{- /* Numbers of YAML are floats, and a million would be 1e+06. */}}
  value: {{ $value | int64 | quote }}
  {{- else }}
  value: {{ $value | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A replica for each node and, where that is possible, for each zone. */}}
{{- define "irsa.spread" -}}
- topologyKey: kubernetes.io/hostname
  maxSkew: 1
  whenUnsatisfiable: {{ .spreadOverNodes }}
  nodeTaintsPolicy: Honor
  # Pods of another revision, which are about to go, do not count.
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "irsa.selectorLabels" . | nindent 6 }}
- topologyKey: topology.kubernetes.io/zone
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  nodeTaintsPolicy: Honor
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "irsa.selectorLabels" . | nindent 6 }}
{{- end -}}

{{/* What the Pod Security Standard `restricted` asks of a pod … */}}
{{- define "irsa.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* … and of a container; a read-only root is beyond it. */}}
{{- define "irsa.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* How the API server reaches the webhook: (dict "root" $ "path" "/mutate" "caBundle" "…"). */}}
{{- define "irsa.webhookClient" -}}
{{- with .caBundle -}}
caBundle: {{ . }}
{{ end -}}
service:
  namespace: {{ .root.Release.Namespace }}
  name: irsa-webhook
  port: 443
  path: {{ .path }}
{{- end -}}

{{/* NetworkPolicy of a component: (dict "root" $ "component" "webhook" "name" … "ports" (list 8443)). */}}
{{- define "irsa.networkPolicy" -}}
{{- $policy := .root.Values.networkPolicy -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "irsa.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "irsa.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    # From anywhere: who asks is no pod, and proves nothing by its address.
    - ports:
        - port: {{ .port }}
    {{- with $policy.metricsFrom }}
    - from:
        {{- toYaml . | nindent 8 }}
      ports:
        - port: metrics
    {{- end }}
  egress:
    - ports:
        {{- range $policy.apiServerPorts }}
        - port: {{ . }}
        {{- end }}
      {{- with $policy.apiServerCidrs }}
      to:
        {{- range . }}
        - ipBlock: { cidr: {{ . }} }
        {{- end }}
      {{- end }}
{{- end -}}
