//! What `GET /api/v1/scaling` answers.

/** An answer that differs from the one before it. */
export interface ScalerChange {
  at: string;
  value: number | null;
  active: boolean | null;
  error: string | null;
}

/** What was answered around a time. */
export interface ScalerPoint {
  time: string;
  value: number | null;
  error: string | null;
  target: number | null;
}

export interface Scaler {
  kind: "keda" | "external_metrics";
  namespace: string;
  /** Of the ScaledObject, or the user of the Kubernetes API. */
  name: string;
  tenant: string | null;
  metric: string;
  query: string;
  selector: string;
  target: number | null;
  activation_target: number | null;
  first_asked: string;
  last_asked: string;
  asked: number;
  value: number | null;
  active: boolean | null;
  error: string | null;
  event_time: string | null;
  changes?: ScalerChange[];
  history?: ScalerPoint[];
}
