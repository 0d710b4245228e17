package config

// KubernetesVersion is what minikube is started with. Its minor is the newest that KEDA 2.20 is tested on: 1.33 to 1.35.
//
// renovate: datasource=github-releases depName=kubernetes/kubernetes
const KubernetesVersion = "v1.35.4"
