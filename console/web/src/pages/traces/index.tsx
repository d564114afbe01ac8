//! Traces: search at `/traces`, one trace at `/traces/{trace_id}`.
import { path } from "../../lib/url";
import { Search } from "./Search";
import "./traces.css";

export default function Traces() {
  const id = decodeURIComponent(path.value.split("/")[2] ?? "");
  return id ? null : <Search />;
}
