package org.apache.kafka.common.utils;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Supplier;
import org.apache.kafka.common.errors.TimeoutException;

/**
 * Kafka's clock, taken instead of its own class: the wall clock is off by as many seconds as the
 * file says that the system property "clock" names. Time that passes is measured as ever.
 */
final class SystemTime implements Time {
    private static final SystemTime ONLY = new SystemTime(Path.of(System.getProperty("clock")));
    private static final long READ_AGAIN_NANOS = 100_000_000L;

    private final Path file;
    private volatile long offsetMillis;
    private volatile long readAt;

    private SystemTime(Path file) {
        this.file = file;
        read();
    }

    public static SystemTime getSystemTime() {
        return ONLY;
    }

    private void read() {
        readAt = System.nanoTime();
        try {
            offsetMillis = 1000 * Long.parseLong(Files.readString(file).strip());
        } catch (IOException error) {
            throw new IllegalStateException("the clock cannot be read", error);
        }
    }

    @Override
    public long milliseconds() {
        if (System.nanoTime() - readAt > READ_AGAIN_NANOS) {
            read();
        }
        return System.currentTimeMillis() + offsetMillis;
    }

    @Override
    public long nanoseconds() {
        return System.nanoTime();
    }

    @Override
    public void sleep(long milliseconds) {
        Utils.sleep(milliseconds);
    }

    @Override
    public void waitObject(Object object, Supplier<Boolean> condition, long deadline)
            throws InterruptedException {
        synchronized (object) {
            while (!condition.get()) {
                long left = deadline - milliseconds();
                if (left <= 0) {
                    throw new TimeoutException("the condition did not come true in time");
                }
                object.wait(left);
            }
        }
    }
}
