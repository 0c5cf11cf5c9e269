"""AWS's list prices in us-east-1, in dollars, before free allowances and taxes."""

#: The day of the last comparison with published copies of AWS's price lists. The URLs below are AWS's own pages.
READ_ON = "2026-11-30"

#: https://aws.amazon.com/dynamodb/pricing/on-demand/
WRITE_UNIT = 0.625e-6
READ_UNIT = 0.125e-6
#: https://aws.amazon.com/lambda/pricing/: a request, and a GB-second by processor
INVOCATION = 0.20e-6
GB_SECOND = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
#: https://aws.amazon.com/api-gateway/pricing/: a request to a REST API
API_REQUEST = 3.50e-6
#: https://aws.amazon.com/cloudwatch/pricing/: a GB of logs; then a month of one metric, alarm metric and dashboard
LOG_GB = 0.50
METRIC_MONTH = 0.30
ALARM_METRIC_MONTH = 0.10
DASHBOARD_MONTH = 3.00
