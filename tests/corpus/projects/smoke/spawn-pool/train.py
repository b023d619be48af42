import multiprocessing


def square(number):
    return number * number


multiprocessing.set_start_method("spawn")
with multiprocessing.Pool(1) as pool:
    print(pool.map(square, range(3)))
