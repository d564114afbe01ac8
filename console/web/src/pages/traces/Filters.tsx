//! What traces are searched by: everything lies in the address.
import { useEffect, useState } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { asked, bounds } from "../../lib/time";
import type { Services } from "../../lib/types/traces";
import { go, href, param, set } from "../../lib/url";
import { IconButton } from "../../ui/parts";
import { traceIdIn } from "./ids";
import { FILTERS, filters } from "./useTraces";
import { w } from "./words";

/** Operations in the list of interfaces; more are typed into the query. */
const MOST_OPERATIONS = 1000;

export function Filters() {
  const { data } = useData([asked.value, param("tenant")], (signal) => get<Services>("/api/v1/services", bounds.value, signal));
  const now = filters();
  const services = data?.services ?? [];
  const ofService = services.filter(({ service }) => !now.service || service === now.service).flatMap(({ operations }) => operations);
  const named = (isCalled: boolean) => {
    const kept = ofService.filter(({ kind }) => ["server", "consumer"].includes(kind) === isCalled);
    return [...new Set(kept.map(({ name }) => name))].sort().slice(0, MOST_OPERATIONS);
  };
  const [called, other] = [named(true), named(false)];
  const isKnown = !now.interface || called.includes(now.interface) || other.includes(now.interface);
  const isFiltered = FILTERS.some((name) => now[name]);
  return (
    <div class="trace-filters" role="search">
      <Field name="query" label={w.query()} placeholder={w.query_example()} isQuery />
      <select class="select" aria-label={w.service()} value={now.service} onChange={(event) => set({ service: event.currentTarget.value, interface: null })}>
        <option value="">{w.all_services()}</option>
        {now.service && !services.some(({ service }) => service === now.service) && <option value={now.service}>{now.service}</option>}
        {services.map(({ service }) => (
          <option key={service} value={service}>
            {service.slice(0, 120)}
          </option>
        ))}
      </select>
      <select class="select" aria-label={w.interface()} value={now.interface} onChange={(event) => set({ interface: event.currentTarget.value })}>
        <option value="">{w.all_interfaces()}</option>
        {!isKnown && <option value={now.interface}>{now.interface}</option>}
        <Group label={w.interfaces()} names={called} />
        <Group label={w.other_spans()} names={other} />
      </select>
      <select class="select" aria-label={w.status()} value={now.status} onChange={(event) => set({ status: event.currentTarget.value })}>
        <option value="">{w.any_status()}</option>
        <option value="error">{w.error()}</option>
        <option value="ok">{w.ok()}</option>
        <option value="unset">{w.unset()}</option>
      </select>
      <Field name="min_duration" label={w.min_duration()} placeholder={w.min_short()} />
      <Field name="max_duration" label={w.max_duration()} placeholder={w.max_short()} />
      {isFiltered && <IconButton icon="close" label={w.clear()} onClick={() => set(Object.fromEntries(FILTERS.map((name) => [name, null])))} />}
    </div>
  );
}

function Group({ label, names }: { label: string; names: string[] }) {
  if (!names.length) return null;
  return (
    <optgroup label={label}>
      {names.map((name) => (
        <option key={name} value={name}>
          {name.slice(0, 120)}
        </option>
      ))}
    </optgroup>
  );
}

/** A text that is taken by Enter, or when one goes on. */
function Field({ name, label, placeholder, isQuery }: { name: (typeof FILTERS)[number]; label: string; placeholder: string; isQuery?: boolean }) {
  const taken = param(name);
  const [text, setText] = useState(taken);
  useEffect(() => setText(taken), [taken]);
  const take = () => {
    const id = isQuery ? traceIdIn(text) : null;
    if (id) go(href(`/traces/${id}`));
    else if (text.trim() !== taken) set({ [name]: text.trim() });
  };
  return (
    <input
      class={isQuery ? "input mono trace-query" : "input trace-bound"}
      type="search"
      data-query={isQuery || undefined}
      aria-label={label}
      title={label}
      placeholder={placeholder}
      value={text}
      spellcheck={false}
      autocomplete="off"
      onInput={(event) => setText(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.isComposing) return;
        if (event.key === "Enter") take();
        if (event.key === "Escape") event.currentTarget.blur();
      }}
      onChange={take}
    />
  );
}
