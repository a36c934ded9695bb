//! Ctrl-C: the first one stops in order, the second one at once.

/// What a shell expects of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Waits for Ctrl-C or, on Unix, SIGTERM. From then on a second one ends the process at once.
///
/// # Errors
/// The system does not tell signals.
pub(crate) async fn asked() -> anyhow::Result<()> {
    signal().await?;
    tokio::spawn(async {
        if signal().await.is_ok() {
            eprintln!("zklink: stopped at once; the journal has everything that was acknowledged");
            std::process::exit(INTERRUPTED);
        }
    });
    Ok(())
}

#[cfg(unix)]
async fn signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signal() -> anyhow::Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}
