"""What is looked at: registered data sets and what lies behind them."""
