//! All nodes with their GPUs as cells: what is hot, idle or broken is seen at a glance.
import { useRef } from "preact/hooks";
import { here } from "../../lib/url";
import { useWidth } from "../../ui/useWidth";
import { VirtualList } from "../../ui/Virtual";
import type { Node } from "./fleet";
import { GpuCell } from "./GpuCell";
import type { Measure } from "./heat";
import { w } from "./words";

const CELL = 30;
const NAME = 18;
const GAP = 8;
const SCROLLBAR = 16;
const MOST_HEIGHT = 420;
/** Cells beside each other in a node. */
const MOST_BESIDE = 8;

export function Grid({ nodes, measure }: { nodes: Node[]; measure: Measure }) {
  const place = useRef<HTMLDivElement>(null);
  const width = useWidth(place);
  const most = nodes.reduce((most, node) => Math.max(most, node.gpus.length), 1);
  const beside = Math.min(MOST_BESIDE, most);
  const block = Math.max(110, beside * CELL);
  const columns = Math.max(1, Math.floor((width - SCROLLBAR + GAP) / (block + GAP)));
  const height = NAME + Math.ceil(most / beside) * 28 + GAP;
  const count = Math.ceil(nodes.length / columns);
  return (
    <div ref={place} class="gp-grid" style={{ height: `${Math.min(MOST_HEIGHT, Math.max(1, count) * height)}px` }}>
      {width > 0 && (
        <VirtualList key={`${columns} ${height}`} label={w.grid()} count={count} estimate={height} overscan={4}>
          {(index) => (
            <div class="gp-line" style={{ gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))` }}>
              {nodes.slice(index * columns, (index + 1) * columns).map((node) => (
                <div key={node.name} class="gp-block">
                  <a class="ellipsis gp-node" href={here({ node: node.name, gpu: null })}>
                    {node.name}
                  </a>
                  <div class="gp-cells" style={{ maxWidth: `${beside * CELL}px` }}>
                    {node.gpus.map((gpu) => (
                      <GpuCell key={gpu.id} gpu={gpu} measure={measure} />
                    ))}
                  </div>
                </div>
              ))}
            </div>
          )}
        </VirtualList>
      )}
    </div>
  );
}
