--! uses schedules
-- Make what is stored of schedules, where there is nothing.
--
-- ARGV: when they are seen first, then schedules.
-- Writes plan:<what>.

for i = 2, #ARGV do
    if redis.call('HSETNX', key('plan', 'seen'), ARGV[i], ARGV[1]) == 1 then
        redis.call('HSET', key('plan', 'since'), ARGV[i], ARGV[1])
    end
end
