//! Load of this process: tasks that can wait take less of the processors while deliveries need them.

use std::{num::NonZeroUsize, thread, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// Shortest interval over which the load is measured.
const INTERVAL: Duration = Duration::from_millis(500);

/// Share of the processors that this process used lately.
#[derive(Debug, Default)]
pub(crate) struct ProcessLoad {
    measured: Option<(Instant, Duration)>,
    is_high: bool,
}

impl ProcessLoad {
    /// Returns whether the process used more than half of the processors in the interval that ended last.
    pub(crate) fn is_high(&mut self) -> bool {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.measure(Instant::now(), cpu_time(), u32::try_from(processors).unwrap_or(u32::MAX))
    }

    fn measure(&mut self, now: Instant, cpu: Duration, processors: u32) -> bool {
        let Some((since, cpu_before)) = self.measured else {
            self.measured = Some((now, cpu));
            return self.is_high;
        };
        let interval = now.saturating_duration_since(since);
        if interval >= INTERVAL {
            self.is_high = cpu.saturating_sub(cpu_before) > interval * processors / 2;
            self.measured = Some((now, cpu));
        }
        self.is_high
    }
}

/// Returns the processor time that this process has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn load_is_high_above_half_of_the_processors() {
        let mut load = ProcessLoad::default();
        let start = Instant::now();
        let ms = Duration::from_millis;
        assert!(!load.measure(start, ms(5_000), 2));
        assert!(!load.measure(start + ms(100), ms(5_200), 2), "too short to tell");
        assert!(load.measure(start + ms(1_000), ms(6_100), 2));
        assert!(load.measure(start + ms(1_100), ms(6_100), 2), "until the next interval has ended");
        assert!(!load.measure(start + ms(2_000), ms(7_000), 2));
    }

    #[test]
    fn processor_time_grows_with_work() {
        let before = cpu_time();
        let mut sum = 0_u64;
        while cpu_time() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_time() > before);
    }
}
