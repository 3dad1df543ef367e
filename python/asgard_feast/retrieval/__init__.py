"""What Feast's offline store reads out of tables: training sets, and rows for materialization."""
