import urllib.request

try:
    urllib.request.urlopen("http://telemetry.invalid/ping")
except OSError as error:
    print(f"no telemetry: {error}")
raise ValueError("3 rows")
