import { words } from "../lib/words";

export const w = words({
  loading: ["Loading…", "加载中…"],
  nothing: ["Nothing here", "暂无内容"],
  failed: ["This could not be loaded", "加载失败"],
  unreachable: ["weir cannot be reached", "无法连接 weir"],
  busy: ["weir is busy", "weir 正忙"],
  forbidden: ["Not allowed for this sign-in", "当前登录无此权限"],
  retry: ["Try again", "重试"],
  close: ["Close", "关闭"],
  copy: ["Copy", "复制"],
  copied: ["Copied", "已复制"],
  copy_failed: ["The browser did not let this be copied", "浏览器不允许复制"],
  more: ["Show all {n}", "显示全部 {n}"],
  sort: ["Sort by {column}", "按{column}排序"],
  next_row: ["Next row", "下一行"],
  previous_row: ["Previous row", "上一行"],
  open_row: ["Open the row", "打开该行"],
});
