/** The name with a river that flows over a dam. */
export function Logo() {
  return (
    <span class="logo">
      <svg width="22" height="22" viewBox="0 0 16 16" aria-hidden="true">
        <path d="M1 5h14M1 5c2 0 2 6 4 6s2-4 4-4 2 4 6 4" />
      </svg>
      weir
    </span>
  );
}
