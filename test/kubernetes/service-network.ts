/** Where Services have their addresses; kubeadm's default. */
export const SERVICE_CIDR = "10.96.0.0/16";

/** Of the Service `default/kubernetes`: always the first of the range. */
export const KUBERNETES_SERVICE_IP = "10.96.0.1";

/** Of the cluster's DNS; the tenth of the range by convention. */
export const DNS_SERVICE_IP = "10.96.0.10";
