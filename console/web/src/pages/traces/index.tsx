//! Traces: search at `/traces`, one trace at `/traces/{trace_id}`.
import { path } from "../../lib/url";
import { Search } from "./Search";
import "./traces.css";
import "./trace.css";
import "./span.css";
import "./dossier.css";
import { TraceView } from "./TraceView";

function idOf(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export default function Traces() {
  const id = idOf(path.value.split("/")[2] ?? "");
  return id ? <TraceView id={id} /> : <Search />;
}
