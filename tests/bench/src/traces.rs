//! Java's stack traces as a container writes them: CRI lines of stderr.

use std::io::Write;

/// Classes and methods of frames.
const PLACES: [&str; 8] = [
    "com.example.orders.OrderService.reserve(OrderService.java:112)",
    "com.example.orders.OrderController$$FastClassBySpringCGLIB$$7f3a.invoke(<generated>)",
    "org.springframework.aop.framework.ReflectiveMethodInvocation.proceed(ReflectiveMethodInvocation.java:186)",
    "org.springframework.web.servlet.DispatcherServlet.doDispatch(DispatcherServlet.java:1063) ~[spring-webmvc.jar:5.3]",
    "javax.servlet.http.HttpServlet.service(HttpServlet.java:655)",
    "org.apache.catalina.core.ApplicationFilterChain.internalDoFilter(ApplicationFilterChain.java:227)",
    "java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1128)",
    "java.base/java.lang.Thread.run(Thread.java:829)",
];

/// Lines of a trace and of the line that reports it.
pub(crate) const LINES: u64 = 36;

/// Appends one trace and the line that reports it.
pub(crate) fn write(out: &mut Vec<u8>, time: &str, seq: u64) {
    let mut line = |text: std::fmt::Arguments<'_>| {
        out.extend_from_slice(time.as_bytes());
        out.extend_from_slice(b" stderr F ");
        // Memory takes all.
        let _ = out.write_fmt(text);
        out.push(b'\n');
    };
    line(format_args!(
        "2026-01-02 03:04:05.123 ERROR 7 --- [nio-8080-exec-{}] c.e.orders : order {seq} failed",
        seq % 10
    ));
    line(format_args!("java.lang.IllegalStateException: cannot reserve item {}", seq * 31));
    for at in 0..24 {
        line(format_args!("\tat {}", PLACES[at % PLACES.len()]));
    }
    line(format_args!(
        "Caused by: java.sql.SQLTransientConnectionException: pool-{}: connection is not available",
        seq % 4
    ));
    for at in 0..8 {
        line(format_args!("\tat {}", PLACES[(at + 3) % PLACES.len()]));
    }
    line(format_args!("\t... 21 common frames omitted"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_has_as_many_lines_as_are_said() {
        let mut out = Vec::new();
        write(&mut out, "2026-01-02T03:04:05.123456789Z", 1);
        assert_eq!(String::from_utf8(out).unwrap().lines().count() as u64, LINES);
    }
}
