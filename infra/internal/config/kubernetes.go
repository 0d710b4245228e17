package config

// KubernetesVersion is what minikube is started with: the newest that KEDA, the ingress controller and `zones` are all
// known to work with.
//
// renovate: datasource=github-releases depName=kubernetes/kubernetes
const KubernetesVersion = "v1.36.3"
