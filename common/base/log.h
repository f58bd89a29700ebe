/* Log lines: "2026-01-31T12:00:00.123Z WARN  rank 3: text" to standard error or a file. */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

typedef enum syn_log_level {
    SYN_LOG_DEBUG,
    SYN_LOG_INFO,
    SYN_LOG_WARN,
    SYN_LOG_ERROR,
} syn_log_level;

/* One whole line, written with one write(2), so that lines of several threads and processes do not
 * mix. */
void syn_log_line(syn_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define SYN_DEBUG(...) syn_log_line(SYN_LOG_DEBUG, __VA_ARGS__)
#define SYN_INFO(...)  syn_log_line(SYN_LOG_INFO, __VA_ARGS__)
#define SYN_WARN(...)  syn_log_line(SYN_LOG_WARN, __VA_ARGS__)
#define SYN_ERROR(...) syn_log_line(SYN_LOG_ERROR, __VA_ARGS__)

/* Lines below `level` are dropped (default INFO, or SYNCLINE_LOG=debug|info|warn|error). */
void syn_log_set_level(syn_log_level level);
/* Text put before every message of this process, such as "rank 3"; "" for none. Copied. */
void syn_log_set_prefix(const char *prefix);
/* The descriptor that lines go to (default 2); not closed by us. */
void syn_log_set_fd(int fd);

#endif
