//! One query for each measure, for all nodes or for one. Pure.

/** What narrows the machine's own series: a node, or a GPU of which the node is not known yet. */
export interface Scope {
  node?: string;
  gpu?: string;
}

function selector(scope: Scope, more: string[] = [], gpu = true): string {
  const own = [scope.node && `host_name=${JSON.stringify(scope.node)}`, gpu && scope.gpu && !scope.node && `hw_id=${JSON.stringify(scope.gpu)}`];
  const all = [...own.filter(Boolean), ...more];
  return all.length ? `{${all.join(",")}}` : "";
}

const OWNER = "host_name, hw_id, tenant, k8s_namespace_name, k8s_pod_name, k8s_container_name";
const WASTED = 'weir_gpu_throttle_reason!~"idle|application_clocks|display_clocks|sync_boost"';

export function gpuQueries(scope: Scope): Record<string, string> {
  const s = (...more: string[]) => selector(scope, more);
  return {
    utilization: `max by (host_name, hw_id, hw_name, hw_model) (hw_gpu_utilization_ratio${s('hw_gpu_task="general"')})`,
    used: `max by (host_name, hw_id, hw_parent, hw_name, hw_model) (hw_gpu_memory_usage_bytes${s()})`,
    limit: `max by (host_name, hw_id, hw_parent, hw_name, hw_model) (hw_gpu_memory_limit_bytes${s()})`,
    temperature: `max by (host_name, hw_id, hw_sensor_location) (hw_temperature_celsius${s('hw_type="gpu"')})`,
    power: `max by (host_name, hw_id) (hw_power_watts${s('hw_type="gpu"')})`,
    powerLimit: `max by (host_name, hw_id) (weir_gpu_power_limit_watts${s()})`,
    throttled: `max by (host_name, hw_id, weir_gpu_throttle_reason) (weir_gpu_clock_throttled${s(WASTED)}) == 1`,
    xids: `sum by (host_name, hw_id, weir_gpu_xid, weir_gpu_policy) (increase(weir_gpu_xid_errors_total${s()}[1h])) > 0`,
    recentXids: `sum by (host_name, hw_id, weir_gpu_policy) (increase(weir_gpu_xid_errors_total${s()}[10m])) > 0`,
    recovery: `max by (host_name, hw_id, weir_gpu_recovery_action) (weir_gpu_recovery_needed${s()}) == 1`,
    lost: `max by (host_name, hw_id, hw_name, hw_model) (present_over_time(hw_gpu_utilization_ratio${s()}[1h])) unless max by (host_name, hw_id, hw_name, hw_model) (present_over_time(hw_gpu_utilization_ratio${s()}[2m])) and on (host_name) present_over_time(system_uptime_seconds[1m])`,
    idle: `max by (host_name, hw_id) (avg_over_time(hw_gpu_utilization_ratio${s('hw_gpu_task="general"')}[30m])) < 0.05 and on (host_name, hw_id) sum by (host_name, hw_id) (weir_gpu_memory_usage_bytes${s()}) > 0`,
    unowned: `sum by (host_name, hw_id) (rate(weir_gpu_unowned_time_seconds_total${s()}[2m]))`,
    busy: `sum by (host_name, hw_id) (rate(weir_gpu_busy_time_seconds_total${s()}[2m]))`,
    podMemory: `sum by (${OWNER}) (weir_gpu_memory_usage_bytes${s()})`,
    podTime: `sum by (${OWNER}) (rate(weir_gpu_time_seconds_total${s()}[2m]))`,
  };
}

export function hostQueries(scope: Scope): Record<string, string> {
  const s = (...more: string[]) => selector(scope, more, false);
  return {
    cpu: `1 - sum by (host_name) (rate(system_cpu_time_seconds_total${s('cpu_mode=~"idle|iowait"')}[1m])) / sum by (host_name) (rate(system_cpu_time_seconds_total${s()}[1m]))`,
    cores: `max by (host_name) (system_cpu_logical_count${s()})`,
    hostMemory: `1 - max by (host_name) (system_memory_linux_available_bytes${s()}) / max by (host_name) (system_memory_limit_bytes${s()})`,
    hostMemoryLimit: `max by (host_name) (system_memory_limit_bytes${s()})`,
    disk: `max by (host_name) (system_filesystem_utilization_ratio${s('system_filesystem_mode="rw"')})`,
    network: `sum by (host_name, network_io_direction) (rate(system_network_io_bytes_total${s('system_device!="lo"')}[1m]))`,
  };
}

/** Means of each node's GPUs, for lines in a table. */
export function trendQuery(scope: Scope): string {
  const gpus = selector(scope, ['hw_gpu_task="general"']);
  return `avg by (host_name) (hw_gpu_utilization_ratio${gpus})`;
}

/** What containers of a node are allowed, what they use, and whether they run. */
export function workloadQueries(node: string): Record<string, string> {
  const s = `host_name=${JSON.stringify(node)}`;
  const owner = "tenant, k8s_namespace_name, k8s_pod_name, k8s_container_name";
  return {
    allowed: `max by (__name__, ${owner}, weir_k8s_resource_name) ({__name__=~"k8s_container_(cpu|memory)_(request|limit)(_desired)?(_bytes)?|weir_k8s_container_resource_(request|limit)",${s}})`,
    cpu: `sum by (${owner}) (rate(container_cpu_time_seconds_total{${s},k8s_pod_name!=""}[1m]))`,
    memory: `max by (${owner}) (container_memory_working_set_bytes{${s},k8s_pod_name!=""})`,
    phase: `max by (tenant, k8s_namespace_name, k8s_pod_name, k8s_pod_status_phase) (k8s_pod_status_phase{${s}}) == 1`,
  };
}
