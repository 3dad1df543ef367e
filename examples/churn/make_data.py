"""Writes a made-up customer table: for each customer six features, and whether they left.

`train_from_csv.py` takes it as it is. With `--keyed` each row also says of whom it is and as of when, which the table
needs from which `train.py` reads features.

Whoever needed much support, or has not bought for long, tends to leave; few purchases add to it. The other features
say next to nothing. Some customers decide by chance, so that no model predicts all of them. Needs only Python itself;
the same seed makes the same file on every machine.
"""

import argparse
import csv
import math
import random
import sys
from pathlib import Path
from typing import TextIO

FEATURES = (
    "support_tickets_count",
    "days_since_last_purchase",
    "total_purchases",
    "customer_lifetime_value",
    "account_age_days",
    "avg_purchase_value",
)
AS_OF = "2025-11-01T00:00:00Z"
CHANCE = 0.03


def make_customer(source: random.Random) -> list[int | float]:
    """One row: the features in the order of `FEATURES`, then 1 for a customer who left, else 0."""
    tickets = source.randint(0, 10)
    days = source.randint(0, 180)
    purchases = source.randint(1, 60)
    average = round(source.lognormvariate(4.0, 0.5), 2)
    # What a customer spent in all also holds returns and discounts: it is not just the product.
    value = round(average * source.uniform(5, 60), 2)
    age = source.randint(30, 2000)
    pull = 1.02 * (tickets - 5) + 0.056 * (days - 90) - 0.06 * (purchases - 30)
    churned = source.random() < 1 / (1 + math.exp(-4 * pull))
    if source.random() < CHANCE:
        churned = not churned
    return [tickets, days, purchases, value, age, average, int(churned)]


def write_customers(file: TextIO, rows: int, seed: int, is_keyed: bool) -> None:
    """Writes `rows` customers as CSV with a header; numbered from 1 when they are keyed."""
    source = random.Random(seed)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((*(("customer_id", "event_timestamp") if is_keyed else ()), *FEATURES, "churned"))
    for number in range(1, rows + 1):
        writer.writerow((*((number, AS_OF) if is_keyed else ()), *make_customer(source)))


def positive(text: str) -> int:
    """Read a whole number from 1 on, as argparse wants it."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def main() -> None:
    """Write the file that the arguments name."""
    parser = argparse.ArgumentParser(description="Write a made-up customer table as CSV.")
    parser.add_argument("output", type=Path, nargs="?", help="the CSV file to write (default: standard output)")
    parser.add_argument("--rows", type=positive, default=2000, help="customers (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="the same seed makes the same file (default: %(default)s)")
    parser.add_argument("--keyed", action="store_true", help="with customer_id and event_timestamp")
    arguments = parser.parse_args()
    if arguments.output is None:
        write_customers(sys.stdout, arguments.rows, arguments.seed, arguments.keyed)
        return
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with arguments.output.open("w", newline="", encoding="utf-8") as file:
        write_customers(file, arguments.rows, arguments.seed, arguments.keyed)
    print(f"wrote {arguments.rows} customers to {arguments.output}")


if __name__ == "__main__":
    main()
