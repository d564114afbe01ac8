//! The frame of all pages: navigation, time, tenant, language, theme, who is signed in.
import type { FunctionComponent } from "preact";
import { Component } from "preact";
import { useEffect, useState } from "preact/hooks";
import { signedOut } from "../lib/api";
import { listed, useKey } from "../lib/keys";
import { loadSession, session, sessionError, signOut, tenants } from "../lib/session";
import { theme, toggleTheme } from "../lib/theme";
import { tick } from "../lib/time";
import { go, href, param, path, set } from "../lib/url";
import { lang, setLang } from "../lib/words";
import { Icon } from "../ui/icons";
import { Dialog, Empty, IconButton, ProblemBox } from "../ui/parts";
import { Logo } from "./Logo";
import { PAGES, pageOf, type Page } from "./pages";
import { Callback, SignIn } from "./SignIn";
import { TimePicker } from "./TimePicker";
import { w } from "./words";

export function App() {
  useEffect(() => {
    document.documentElement.lang = lang.value === "zh" ? "zh-CN" : "en";
  }, [lang.value]);
  const known = session.value;
  if (sessionError.value && !known) {
    return (
      <main class="sign-in">
        <ProblemBox problem={{ status: 0, title: "", detail: sessionError.value }} retry={loadSession} />
      </main>
    );
  }
  if (!known) return null;
  if (path.value === (known.callback ?? "/auth/callback")) return <Callback />;
  if (!known.user || signedOut.value || path.value === "/sign-in") return <SignIn />;
  return <Frame />;
}

function Frame() {
  const page = pageOf(path.value);
  const [menu, setMenu] = useState(false);
  const [help, setHelp] = useState(false);
  useKey("?", w.keys_about, () => setHelp(true));
  useKey("/", w.focus_query, () => document.querySelector<HTMLElement>("[data-query]")?.focus());
  for (const page of PAGES) useKey(`g ${page.key}`, () => w.go_to({ page: page.title() }), () => go(href(page.path)));
  useEffect(() => {
    setMenu(false);
    tick();
    document.title = page ? `${page.title()} · weir` : "weir";
  }, [page, lang.value]);
  return (
    <div class={menu ? "app menu-open" : "app"}>
      <a class="skip" href="#main">
        {w.skip()}
      </a>
      <nav class="nav" aria-label={w.navigation()}>
        <a class="nav-logo" href={href("/")} aria-label="weir">
          <Logo />
        </a>
        {PAGES.map((one) => (
          <a key={one.path} href={href(one.path)} aria-current={one === page ? "page" : undefined}>
            <Icon name={one.icon} />
            <span>{one.title()}</span>
          </a>
        ))}
        <div class="nav-foot">
          <Account />
        </div>
      </nav>
      <div class="body">
        <header class="head">
          <span class="menu-button">
            <IconButton icon="menu" label={w.menu()} pressed={menu} onClick={() => setMenu(!menu)} />
          </span>
          <h1>{page?.title() ?? "weir"}</h1>
          <TenantPicker />
          {page && <TimePicker refresh={page.refresh} />}
        </header>
        <main id="main" class="main" tabIndex={-1} key={page?.path}>
          {page ? <Loaded page={page} /> : <Empty action={<a class="btn" href="/">{w.go_home()}</a>}>{w.not_found()}</Empty>}
        </main>
      </div>
      {help && (
        <Dialog title={w.keys()} onClose={() => setHelp(false)}>
          <dl class="keys">
            {listed().map(([key, about]) => (
              <div key={key}>
                <dt>
                  {key.split(" ").map((one) => (
                    <kbd key={one}>{one}</kbd>
                  ))}
                </dt>
                <dd>{about}</dd>
              </div>
            ))}
          </dl>
        </Dialog>
      )}
    </div>
  );
}

function Account() {
  const { user, auth, version } = session.value ?? {};
  return (
    <>
      <button class="nav-button" type="button" title={w.language_about()} onClick={() => setLang(lang.value === "zh" ? "en" : "zh")}>
        {w.language()}
      </button>
      <button class="nav-button" type="button" onClick={toggleTheme}>
        <Icon name={theme.value === "dark" ? "sun" : "moon"} />
        <span>{theme.value === "dark" ? w.light() : w.dark()}</span>
      </button>
      {auth && user && (
        <button class="nav-button" type="button" title={`${user.role}: ${user.tenants.join(", ")}`} onClick={signOut}>
          <Icon name="user" />
          <span>
            {user.name} · {w.sign_out()}
          </span>
        </button>
      )}
      <small class="faint">{w.version({ v: version ?? "" })}</small>
    </>
  );
}

/** Narrows the page to one tenant. Who sees all names the tenant. */
function TenantPicker() {
  const tenant = param("tenant");
  const known = tenants.value;
  const seesAll = session.value?.user?.tenants.includes("*");
  const [writing, setWriting] = useState(false);
  if (!seesAll && known.length < 2) return null;
  if (writing) {
    return (
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const name = new FormData(event.currentTarget).get("tenant");
          set({ tenant: String(name ?? "").trim() || null });
          setWriting(false);
        }}
      >
        <input class="input" name="tenant" aria-label={w.tenant_name()} placeholder={w.tenant_name()} ref={(input) => input?.focus()} onBlur={() => setWriting(false)} />
      </form>
    );
  }
  const names = [...new Set([...known, ...(tenant ? [tenant] : [])])];
  return (
    <select
      class="select"
      aria-label={w.tenant()}
      value={tenant}
      onChange={(event) => {
        const { value } = event.currentTarget;
        if (value === "\n") setWriting(true);
        else set({ tenant: value || null });
      }}
    >
      <option value="">{w.tenant_all()}</option>
      {names.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
      {seesAll && <option value={"\n"}>{w.tenant_other()}</option>}
    </select>
  );
}

const loaded = new Map<string, FunctionComponent>();

function Loaded({ page }: { page: Page }) {
  const [, redraw] = useState(0);
  const [wrong, setWrong] = useState(false);
  const Shown = loaded.get(page.path);
  useEffect(() => {
    if (Shown) return;
    page.load().then(
      (module) => {
        loaded.set(page.path, module.default);
        redraw((at) => at + 1);
      },
      () => setWrong(true),
    );
  }, [page]);
  if (wrong) return <Empty action={<button class="btn" type="button" onClick={() => location.reload()}>{w.reload()}</button>}>{w.load_failed()}</Empty>;
  return Shown ? (
    <Boundary key={page.path}>
      <Shown />
    </Boundary>
  ) : null;
}

/** A page that fails does not take the frame with it. */
class Boundary extends Component<{ children: preact.ComponentChildren }, { error?: Error }> {
  override state: { error?: Error } = {};
  static override getDerivedStateFromError(error: Error) {
    return { error };
  }
  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return <ProblemBox problem={{ status: -1, title: "", detail: String(error) }} retry={() => this.setState({ error: undefined })} />;
  }
}
