//! Icons, drawn for a field of 16 by 16.
const PATHS = {
  home: "M2 7.5 8 2.5l6 5V14h-4v-4H6v4H2z",
  logs: "M2 3.5h12M2 6.5h9M2 9.5h12M2 12.5h6",
  traces: "M1.5 3.5h8M4.5 6.5h7M6.5 9.5h8M4.5 12.5h4",
  interfaces: "M1.5 9.5 4.5 6l3 4 3.5-7 3.5 5M1.5 13.5h13",
  alerts: "M8 2a4 4 0 0 1 4 4c0 4 1.5 5 1.5 5h-11S4 10 4 6a4 4 0 0 1 4-4zM6.5 13.5a1.5 1.5 0 0 0 3 0",
  gpus: "M3 4h10v8H3zM6 6.5h4v3H6zM1 6h2M1 10h2M13 6h2M13 10h2M6 2v2M10 2v2M6 12v2M10 12v2",
  usage: "M2 13.5h12M3.5 11V7.5M6.5 11V3.5M9.5 11V6M12.5 11V4.5",
  data: "M8 2c3.3 0 5.5.9 5.5 2S11.300 6 8 6 2.500 5.100 2.500 4 4.700 2 8 2zM2.500 4v8c0 1.100 2.200 2 5.500 2s5.500-.9 5.500-2V4M2.500 8c0 1.100 2.200 2 5.500 2s5.500-.9 5.500-2",
  scaling: "M2.500 9.500v4h4M13.500 6.500v-4h-4M2.500 13.500l4.500-4.500M13.500 2.500 9 7",
  status: "M2 8h2.500l1.500-4 3 8 1.500-4H14",
  search: "M7 2.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9zM10.500 10.500 14 14",
  sun: "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  moon: "M13 9.500A5.500 5.500 0 0 1 6.500 3a5.500 5.500 0 1 0 6.500 6.500z",
  menu: "M2 4h12M2 8h12M2 12h12",
  close: "M3.500 3.500l9 9M12.500 3.500l-9 9",
  play: "M4.500 3v10l8-5z",
  pause: "M5 3v10M11 3v10",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  right: "M6 3l5 5-5 5",
  down: "M3 6l5 5 5-5",
  download: "M8 2v8M4.500 7 8 10.500 11.500 7M2.500 13.500h11",
  link: "M6.500 9.500l3-3M7 4.500l1.500-1.500a3 3 0 0 1 4.300 4.300L11 9M9 11.500 7.500 13a3 3 0 0 1-4.300-4.300L5 7",
  copy: "M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3",
  clock: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM8 4.500V8l2.500 1.500",
  bell_off: "M2.500 2.500l11 11M12 10c-.6-1-.9-2.300-.9-4A3.600 3.600 0 0 0 6 3M4.500 5.500C4.500 9.500 3 11 3 11h8M6.500 13.500a1.500 1.500 0 0 0 3 0",
  user: "M8 2.500a2.500 2.500 0 1 1 0 5 2.500 2.500 0 0 1 0-5zM3 14c0-3 2-4.500 5-4.500s5 1.500 5 4.500",
  columns: "M2.500 3h11v10h-11zM6 3v10M10 3v10",
  star: "M8 2l1.800 3.800 4.200.5-3.100 2.900.8 4.100L8 11.300l-3.700 2 .8-4.100L2 6.300l4.200-.5z",
  help: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM6.200 6.200A1.900 1.900 0 0 1 8 5c1 0 1.900.7 1.900 1.700C9.900 8 8 8 8 9.300M8 11v.5",
} as const;

export type IconName = keyof typeof PATHS;

/** An icon beside a text or within a button that says by itself what it is. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
