//! Who asks for values to scale by, and what they were answered.
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { now } from "../../lib/time";
import type { Scaler } from "../../lib/types/scaling";
import { here, param } from "../../lib/url";
import { Empty, Show } from "../../ui/parts";
import { Connect } from "./Connect";
import { named } from "./course";
import "./scaling.css";
import { ScalerTable } from "./ScalerTable";
import { ScalerView } from "./ScalerView";
import { w } from "./words";

export default function Scaling() {
  const data = useData([param("tenant"), now.value], (signal) => get<{ scalers: Scaler[] }>("/api/v1/scaling", {}, signal));
  const chosen = param("scaler");
  return (
    <div class="page">
      <Show of={data}>
        {({ scalers }) => {
          if (!chosen) return scalers.length ? <ScalerTable scalers={scalers} /> : <Connect />;
          const found = named(scalers).find((one) => one.id === chosen);
          return found ? <ScalerView scaler={found.scaler} /> : <Empty action={<a href={here({ scaler: null })}>{w.back()}</a>}>{w.gone()}</Empty>;
        }}
      </Show>
    </div>
  );
}
