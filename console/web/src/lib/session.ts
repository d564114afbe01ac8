//! Who the visitor is, and what they may do.
import { computed, signal } from "@preact/signals";
import { request, signedOut } from "./api";

export type Role = "writer" | "viewer" | "operator" | "admin";

export interface User {
  name: string;
  role: Role;
  /** `["*"]` is all. */
  tenants: string[];
}

/** `GET /auth/session`. */
export interface Session {
  /** Whether weir asks for a credential at all. */
  auth: boolean;
  tokens: boolean;
  oidc: boolean;
  /** Path that the identity provider sends the visitor back to. */
  callback: string | null;
  version: string;
  user: User | null;
}

export const session = signal<Session | null>(null);

/** Why the session cannot be read, where it cannot. */
export const sessionError = signal<string | null>(null);

const RANKS: Role[] = ["writer", "viewer", "operator", "admin"];

/** Whether the visitor has at least this role: what they may not do is not shown. */
export function may(role: Role): boolean {
  const user = session.value?.user;
  return user ? RANKS.indexOf(user.role) >= RANKS.indexOf(role) : false;
}

/** Tenants to choose from; empty where the visitor may see all, whose names are not known. */
export const tenants = computed(() => session.value?.user?.tenants.filter((tenant) => tenant !== "*") ?? []);

export async function loadSession() {
  try {
    session.value = await request<Session>("GET", "/auth/session");
    signedOut.value = false;
    sessionError.value = null;
  } catch (error) {
    sessionError.value = String(error);
  }
}

export async function signIn(token: string) {
  session.value = await request<Session>("POST", "/auth/session", { body: { token } });
  signedOut.value = false;
}

/** Behind the identity provider: gives the address that the visitor wanted. */
export async function finishSignIn(code: string, state: string): Promise<string> {
  const { return: wanted } = await request<{ return: string }>("POST", "/auth/callback", { body: { code, state } });
  await loadSession();
  return wanted;
}

export async function signOut() {
  const { redirect } = await request<{ redirect: string | null }>("DELETE", "/auth/session");
  if (redirect) location.assign(redirect);
  else await loadSession();
}
