// Assertions and bounded waits of the Java programs.

import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

final class Check {
    /** Seconds that a single request or wait may take. */
    static final long TIMEOUT_S = 40;

    private static final long BEGIN = System.nanoTime();

    private Check() {}

    static final class Failure extends RuntimeException {
        private static final long serialVersionUID = 1;

        Failure(String message) {
            super("FAILED: " + message);
        }
    }

    interface Action {
        void run() throws Exception;
    }

    static void equal(String description, Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new Failure(description + "\n--- expected\n" + expected + "\n--- actual\n" + actual);
        }
        passed(description);
    }

    static void passed(String description) {
        System.out.printf("ok (%d ms): %s%n", TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - BEGIN), description);
    }

    /** The action throws an exception of one of these classes, or an exception with such a cause. */
    @SafeVarargs
    static void fails(String description, Action action, Class<? extends Exception>... classes) {
        try {
            action.run();
        } catch (Exception error) {
            for (Class<? extends Exception> expected : classes) {
                if (expected.isInstance(error) || expected.isInstance(error.getCause())) {
                    passed(description);
                    return;
                }
            }
            throw new Failure(description + ": expected another exception than " + error + ", cause " + error.getCause());
        }
        throw new Failure(description + ": no exception");
    }

    /** Polls until the probe returns true. */
    static void waitUntil(String description, BooleanSupplier probe) throws InterruptedException {
        waitUntil(description, 20, probe);
    }

    /** Polls until the probe returns true, with this number of milliseconds between calls. */
    static void waitUntil(String description, long pauseMs, BooleanSupplier probe) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(TIMEOUT_S);
        while (!probe.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new Failure(description + ": not within " + TIMEOUT_S + " s");
            }
            Thread.sleep(pauseMs);
        }
        passed(description);
    }
}
