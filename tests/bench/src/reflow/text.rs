//! Text as people and models write it, in Chinese and English, with or without what is to be redacted.

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

const SENTENCES: [&str; 20] = [
    "请把这张发票上的金额、税号和开票日期识别出来,并按照表格的形式返回给我。",
    "您好,识别结果已经生成:本张发票的含税金额为人民币三千二百元整。",
    "如果图片比较模糊,建议重新拍摄一张,注意光线充足并且不要倾斜。",
    "我想了解一下这款产品的保修政策,大概多长时间可以收到退款呢?",
    "根据合同第七条的约定,双方应当在收到通知之后的十个工作日内完成付款。",
    "今天上海多云转晴,最高气温28度,最低气温19度,适合户外活动。",
    "这段代码的时间复杂度是多少?能不能帮我改写成不需要递归的形式?",
    "抱歉,我目前无法访问实时数据,您可以在官方网站上查询最新的价格。",
    "请用一句话总结下面这篇文章的主要观点,再列出三个支持它的论据。",
    "模型在测试集上的准确率达到了92.5%,比上一个版本提高了1.3个百分点。",
    "会议时间改到下周三下午两点,地点不变,请提前准备好第二季度的报告。",
    "好的,已经为您预订了两张明天上午从北京南站出发的高铁票,请注意查收短信。",
    "Please summarise the attached report in three bullet points, and name the risks it does not mention. ",
    "The invoice lists 12 items; the total before tax is 4,310.00 and the due date is March 15. ",
    "Sure! Here is a shorter version of the paragraph that keeps the original tone. ",
    "Could you explain why the query is slow when the table has more than ten million rows? ",
    "I'm sorry, but I can't find an order with that number. Would you check it again? ",
    "```python\nfor row in rows:\n    total += row[\"amount\"] * (1 - row[\"discount\"])\n```\n",
    "The function returns an error when the list is empty, so callers have to check for that first. ",
    "In short: restart the worker, wait for the queue to drain, and run the migration again. ",
];

/// About so many bytes of what has nothing to redact.
pub(super) fn chat(rng: &mut Xoshiro256PlusPlus, bytes: usize) -> String {
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(SENTENCES[rng.random_range(0..SENTENCES.len())]);
    }
    text
}

/// The same with a phone number, an identity number, an address and keys in between.
pub(super) fn with_secrets(rng: &mut Xoshiro256PlusPlus, bytes: usize) -> String {
    let mut text = chat(rng, bytes / 3);
    text.push_str(&personal(rng));
    text.push_str(&chat(rng, bytes / 3));
    let key: String =
        (0..40).map(|_| char::from(b"abcdefghijkmnpqrstuvwxyz23456789"[rng.random_range(0..32)])).collect();
    let host = rng.random_range(0..256);
    text + &format!("api_key={key},服务器 10.1.{host}.7,Authorization: Bearer {key}。")
}

/// A sentence with a phone number, an identity number and an address.
pub(super) fn personal(rng: &mut Xoshiro256PlusPlus) -> String {
    let phone = rng.random_range(13_000_000_000_u64..19_999_999_999);
    format!("我的手机号是{phone},身份证号11010519491231002X,邮箱 user{}@example.com。", phone % 10_000)
}
