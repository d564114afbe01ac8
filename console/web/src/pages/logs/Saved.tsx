//! Searches that are kept in this browser.
import { useState } from "preact/hooks";
import { params } from "../../lib/url";
import { CopyButton, IconButton } from "../../ui/parts";
import { essence, forget, keep, savedSearches } from "./kept";
import { w } from "./words";

export function Saved() {
  const [saved, setSaved] = useState(savedSearches);
  const [name, setName] = useState(params.value.get("query") ?? "");
  const save = (event: Event) => {
    event.preventDefault();
    if (name.trim()) setSaved(keep({ name: name.trim().slice(0, 120), search: essence(params.value) }));
  };
  return (
    <div class="stack log-saved">
      <form class="row" onSubmit={save}>
        <input class="input grow" aria-label={w.save_as()} placeholder={w.save_as()} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        <button class="btn btn-primary" type="submit" disabled={!name.trim()}>
          {w.save()}
        </button>
      </form>
      {saved.length === 0 && <p class="faint">{w.saved_none()}</p>}
      <ul>
        {saved.map((one) => (
          <li key={one.name} class="row">
            <a class="grow ellipsis" href={`/logs?${one.search}`} title={new URLSearchParams(one.search).get("query") ?? ""}>
              {one.name}
            </a>
            <CopyLink to={`/logs?${one.search}`} />
            <IconButton icon="close" label={w.remove({ name: one.name })} onClick={() => setSaved(forget(one.name))} />
          </li>
        ))}
      </ul>
      <small class="faint">{w.saved_about()}</small>
    </div>
  );
}

/** Copies the address of a view. */
export function CopyLink({ to }: { to: string }) {
  return <CopyButton text={location.origin + to} icon="link" label={w.copy_link()} />;
}
