//! What is to be done about an XID error: NVIDIA's catalogue, as data.

/// What an operator, or a machine in his place, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// No program may use the GPU any more: drain it and reset it.
    DrainAndReset,
    /// Reset it, then look at its SRAM errors.
    ResetAndCheckSram,
    /// Look at NVLink and what is at its other end.
    CheckNvlink,
    /// Start the machine again.
    RestartMachine,
    /// Look at the power cables.
    CheckPower,
    /// Start the program again; the GPU itself is sound.
    RestartProgram,
    /// Nothing; it is worth knowing.
    Note,
    /// Ask the driver which action it recommends now.
    AskDriver,
    /// The catalogue says nothing of it.
    Unknown,
}

/// The policy for an XID.
pub(super) fn policy(xid: u64) -> Policy {
    match xid {
        46 | 62 | 64 | 95 | 109 | 110 | 119 | 120 | 136 | 140 | 143 | 155 | 156 | 158 => Policy::DrainAndReset,
        48 => Policy::ResetAndCheckSram,
        74 | 144 | 145 | 149 | 150 => Policy::CheckNvlink,
        79 => Policy::RestartMachine,
        54 => Policy::CheckPower,
        // 94 is contained: the others' programs go on, so nothing is drained.
        13 | 31 | 68 | 94 => Policy::RestartProgram,
        43 | 63 | 92 => Policy::Note,
        154 => Policy::AskDriver,
        _ => Policy::Unknown,
    }
}

impl Policy {
    /// As the attribute `weir.gpu.policy` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DrainAndReset => "drain_and_reset",
            Self::ResetAndCheckSram => "reset_and_check_sram",
            Self::CheckNvlink => "check_nvlink",
            Self::RestartMachine => "restart_machine",
            Self::CheckPower => "check_power",
            Self::RestartProgram => "restart_program",
            Self::Note => "note",
            Self::AskDriver => "ask_driver",
            Self::Unknown => "unknown",
        }
    }

    /// OTLP's severity number: what takes a GPU away is an error, what a program did to itself a warning.
    pub(super) fn severity(self) -> (i32, &'static str) {
        match self {
            Self::Note => (9, "INFO"),
            Self::RestartProgram | Self::AskDriver | Self::Unknown => (13, "WARN"),
            _ => (17, "ERROR"),
        }
    }
}

/// What the driver itself recommends: field 230, `NVML_FI_DEV_GET_GPU_RECOVERY_ACTION`.
pub(super) fn recovery_action(value: u64) -> &'static str {
    match value {
        0 => "none",
        1 => "gpu_reset",
        2 => "node_reboot",
        3 => "drain_p2p",
        4 => "drain_and_reset",
        _ => "unknown",
    }
}
