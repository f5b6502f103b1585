//! Processor time of the parts, as Linux counts it. It measures what is given it, and starts nothing.

use super::ground::{BenchCluster, Servers};
use rustix::process::Pid;
use test_servers::nginx::NginxServer;

/// What Linux counts processor time in towards programs, on all but museum pieces.
const TICK_US: u64 = 10_000;

/// Microseconds of a processor that each part has used, of a run or since its start.
#[derive(Clone, Copy, Default)]
pub struct ProcessorTime {
    pub instances_us: u64,
    pub redis_us: u64,
    pub postgres_us: u64,
    pub nginx_us: u64,
}

impl ProcessorTime {
    /// Until now.
    pub fn so_far(servers: &Servers, instances: &[u32], nginx: Option<&NginxServer>) -> anyhow::Result<Self> {
        let of = |processes: &[Pid]| -> anyhow::Result<u64> {
            processes.iter().map(|process| used_us(process.as_raw_nonzero().get().cast_unsigned())).sum()
        };
        Ok(Self {
            instances_us: instances.iter().map(|process| used_us(*process)).sum::<anyhow::Result<_>>()?,
            redis_us: of(&servers.redis().processes())?,
            postgres_us: of(&servers.postgres.processes())?,
            nginx_us: nginx.map_or(Ok(0), |nginx| of(&nginx.processes()))?,
        })
    }

    /// From then until now.
    pub fn since(self, then: Self) -> Self {
        Self {
            instances_us: self.instances_us.saturating_sub(then.instances_us),
            redis_us: self.redis_us.saturating_sub(then.redis_us),
            postgres_us: self.postgres_us.saturating_sub(then.postgres_us),
            nginx_us: self.nginx_us.saturating_sub(then.nginx_us),
        }
    }

    pub fn all_us(self) -> u64 {
        self.instances_us + self.redis_us + self.postgres_us + self.nginx_us
    }

    /// As columns, each divided by so many.
    pub fn columns(self, by: f64) -> String {
        let parts = [self.instances_us, self.redis_us, self.postgres_us, self.nginx_us];
        let columns = parts.map(|us| format!("{:.1}", us as f64 / by));
        format!("{} | **{:.1}**", columns.join(" | "), self.all_us() as f64 / by)
    }
}

/// The processes of the instances.
pub fn processes(ground: &BenchCluster<'_>) -> Vec<u32> {
    ground.instances.iter().map(|instance| instance.id().cast_unsigned()).collect()
}

/// What a process has used, with those that it had started and that have ended. None if it has ended itself.
pub fn used_us(process: u32) -> anyhow::Result<u64> {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return Ok(0) };
    // The name stands in brackets and may hold anything. Then: state, parent, …; the 12th to the 15th are the times.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(11).take(4).map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(ticks * TICK_US)
}

/// The most memory that a process has had.
pub fn peak_mib(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
