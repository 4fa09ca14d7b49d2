// Threads, condition variables, futures, thread-local storage and a fork, for TestSameAsStrace.
#include <condition_variable>
#include <fstream>
#include <future>
#include <iostream>
#include <mutex>
#include <numeric>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

int main()
{
	std::mutex m;
	std::condition_variable cv;
	int ready = 0;
	std::vector<std::thread> threads;
	for (int i = 0; i < 4; i++)
		threads.emplace_back([&, i] {
			std::vector<int> v(200000, i);
			volatile long sum = std::accumulate(v.begin(), v.end(), 0L);
			(void)sum;
			std::unique_lock<std::mutex> lock(m);
			ready++;
			cv.notify_one();
			std::ofstream("/dev/null") << i << std::endl;
		});
	{
		std::unique_lock<std::mutex> lock(m);
		cv.wait_for(lock, std::chrono::seconds(5), [&] { return ready == 4; });
	}
	for (auto &t : threads)
		t.join();
	auto f = std::async(std::launch::async, [] {
		std::ifstream in("/etc/passwd");
		std::string line;
		int n = 0;
		while (std::getline(in, line))
			n++;
		std::this_thread::sleep_for(std::chrono::milliseconds(2));
		return n;
	});
	std::cout << (f.get() > 0) << std::endl;
	pid_t child = fork();
	if (child == 0)
		_exit(7);
	int status;
	waitpid(child, &status, 0);
	try {
		throw std::runtime_error("x");
	} catch (const std::exception &e) {
		std::cerr << e.what() << std::endl;
	}
}
