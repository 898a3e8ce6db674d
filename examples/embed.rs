//! A lake inside another program's DataFusion context: `cargo run --example embed`.

use std::collections::HashMap;

use datafusion::prelude::SessionContext;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("posixlake-embed-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let location = folder.to_string_lossy().into_owned();

    // The program has a context of its own; the lake comes into it as catalog `lake`.
    let context = SessionContext::new();
    let session = posixlake::install(&context, &location, HashMap::new()).await?;

    for statement in [
        "CREATE TABLE orders (id BIGINT NOT NULL, amount DOUBLE, CONSTRAINT positive CHECK (amount > 0))",
        "INSERT INTO orders VALUES (1, 10.5), (2, 7.25)",
        "UPDATE orders SET amount = amount * 2 WHERE id = 2",
    ] {
        session.sql(statement).await?.collect().await?;
    }

    // Statements of posixlake's own run through the session …
    session
        .sql("SELECT o.id, p.amount AS before, o.amount AS after FROM orders o JOIN orders VERSION AS OF 1 p ON o.id = p.id ORDER BY 1")
        .await?
        .show()
        .await?;
    // … plain queries and suffix names through the program's own context, too.
    context
        .sql("SELECT version, operation FROM \"orders$history\" ORDER BY version")
        .await?
        .show()
        .await?;

    session.close().await;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
