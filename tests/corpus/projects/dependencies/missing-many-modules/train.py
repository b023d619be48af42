import lib.data
import lib.net
