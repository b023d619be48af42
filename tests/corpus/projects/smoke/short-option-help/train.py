from lib import cli

cli.main()
