//! Nodes and GPUs: the fleet, one node, or one GPU.
import { useKey } from "../../lib/keys";
import { here, param, set } from "../../lib/url";
import { Empty, ProblemBox, Show } from "../../ui/parts";
import { isMeasured, type Node } from "./fleet";
import { FleetView } from "./FleetView";
import "./gpus.css";
import { GpuCharts, GpuView } from "./GpuView";
import { HostCharts, NodeView } from "./NodeView";
import { PastFleet } from "./PastFleet";
import { isPast, useFleet } from "./useFleet";
import { w } from "./words";

export default function Page() {
  const [node, gpu] = [param("node"), param("gpu")];
  const scope = { ...(node ? { node } : {}), ...(gpu ? { gpu } : {}) };
  // Of a GPU the whole node is asked for: the way from one of its GPUs to the next needs no load.
  const fleet = useFleet(node ? { node } : scope);
  useKey("Escape", w.to_fleet, () => set(gpu && node ? { gpu: null } : { node: null, gpu: null }));
  return (
    <div class="page">
      {(node || gpu) && <Path nodes={fleet.data?.nodes ?? []} node={node} gpu={gpu} />}
      <Show of={fleet}>
        {({ nodes, missing }) => (
          <>
            {missing && (
              <div>
                <strong class="tone-bad">{w.missing()}</strong> <span class="faint">{missing.names.join(", ")}</span>
                <ProblemBox problem={missing.problem} retry={fleet.reload} />
              </div>
            )}
            {isPart(nodes) && <p class="gp-note">{w.tenant_part()}</p>}
            <Shown nodes={nodes} node={node} gpu={gpu} />
          </>
        )}
      </Show>
    </div>
  );
}

/** Pods are seen, and nothing of the machines that they run on. */
function isPart(nodes: Node[]): boolean {
  return nodes.length > 0 && nodes.every(({ host, gpus }) => host.cpu === null && host.memory === null && !gpus.some(isMeasured));
}

interface Where {
  nodes: Node[];
  node: string;
  gpu: string;
}

function Shown({ nodes, node, gpu }: Where) {
  const back = <a class="btn" href={here({ node: null, gpu: null })}>{w.to_fleet()}</a>;
  if (gpu) {
    const found = nodes.filter((one) => !node || one.name === node).flatMap((one) => one.gpus).find((one) => one.id === gpu || one.migs.some((mig) => mig.id === gpu));
    if (found) return <GpuView key={found.id} gpu={found} />;
    return (
      <>
        <Empty action={back}>{isPast() ? w.past_gpu() : w.gpu_not_there()}</Empty>
        <GpuCharts key={gpu} gpu={{ id: gpu, limit: null, powerLimit: null }} />
      </>
    );
  }
  if (!node) return nodes.length || !isPast() ? <FleetView nodes={nodes} /> : <PastFleet />;
  const found = nodes.find((one) => one.name === node);
  if (found) return <NodeView key={node} node={found} />;
  return (
    <>
      <Empty action={back}>{isPast() ? w.past_node() : w.not_there()}</Empty>
      <HostCharts key={node} node={node} />
    </>
  );
}

/** From the fleet to the node to the GPU, and to the GPUs beside it. */
function Path({ nodes, node, gpu }: Where) {
  const found = nodes.find((one) => (node ? one.name === node : one.gpus.some((other) => other.id === gpu)));
  const name = node || found?.name || "";
  return (
    <nav class="row gp-path" aria-label={w.path()}>
      <a href={here({ node: null, gpu: null })}>{w.fleet()}</a>
      <span aria-hidden="true">/</span>
      {gpu ? <a href={here({ node: name, gpu: null })}>{name}</a> : <h2 class="mono">{name}</h2>}
      {gpu && (
        <>
          <span aria-hidden="true">/</span>
          {(found?.gpus ?? []).map((one) => (
            <a key={one.id} class="chip" href={here({ node: name, gpu: one.id })} aria-current={one.id === gpu ? "page" : undefined} title={one.id}>
              {one.name}
            </a>
          ))}
          <code class="faint ellipsis">{gpu}</code>
        </>
      )}
    </nav>
  );
}
